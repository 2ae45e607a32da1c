// Asks unmodified OFREP providers in JavaScript; the same job and answers as python_clients.py.
// node javascript_clients.mjs server|web
import { createInterface } from 'node:readline';

const DEFAULTS = { boolean: false, string: '?', integer: -1, float: -1, json: { '?': 1 } };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;
const tell = (said) => process.stdout.write(JSON.stringify(said) + '\n');
const headers = (key) => [['X-API-Key', key]];

function details(client, key, kind, context) {
  const more = context === undefined ? [] : [context];
  if (kind === 'boolean') return client.getBooleanDetails(key, DEFAULTS[kind], ...more);
  if (kind === 'string') return client.getStringDetails(key, DEFAULTS[kind], ...more);
  if (kind === 'json') return client.getObjectDetails(key, DEFAULTS[kind], ...more);
  return client.getNumberDetails(key, DEFAULTS[kind], ...more);
}

const said = (d) => ({ value: d.value, variant: d.variant ?? null, reason: d.reason, error: d.errorCode ?? null });

async function server(job) {
  const { OpenFeature } = await import('@openfeature/server-sdk');
  const { OFREPProvider } = await import('@openfeature/ofrep-provider');
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: job.url, headers: headers(job.key) }));
  const client = OpenFeature.getClient();
  return async (key, kind, context) => said(await details(client, key, kind, context));
}

async function web(job) {
  const { OpenFeature } = await import('@openfeature/web-sdk');
  const { OFREPWebProvider } = await import('@openfeature/ofrep-web-provider');
  const provider = new OFREPWebProvider({ baseUrl: job.url, headers: headers(job.key), pollInterval: 500 });
  let now = JSON.stringify(job.contexts[0]);
  await OpenFeature.setContext(job.contexts[0]);
  await OpenFeature.setProviderAndWait(provider);
  const client = OpenFeature.getClient();
  return async (key, kind, context) => {
    if (JSON.stringify(context) !== now) {
      now = JSON.stringify(context);
      await OpenFeature.setContext(context);
    }
    return said(details(client, key, kind));
  };
}

const job = JSON.parse(await next());
const ask = await { server, web }[process.argv[2]](job);
const answers = [];
for (const context of job.contexts) {
  const one = {};
  for (const [key, kind] of job.flags) one[key] = await ask(key, kind, context);
  answers.push(one);
}
tell(answers);
await next();
const start = Date.now();
const kind = Object.fromEntries(job.flags)[job.change.flag];
while ((await ask(job.change.flag, kind, job.change.context)).value !== job.change.value) {
  if (Date.now() - start > 15000) throw new Error('it serves the old value still');
  await new Promise((done) => setTimeout(done, 20));
}
tell({ seconds: (Date.now() - start) / 1000 });
process.exit(0);
