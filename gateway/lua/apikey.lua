-- Who is it, before any token is looked at. API keys are answered here, without a hop: the SHA-256 of the key
-- is looked up in a table of hashes that gate/agent.py replicates from iam into an append-only log.
--
--   <dir>/epoch   one line: the name of the current log (a new one after a restart or compaction)
--   <dir>/<log>   "+<sha256 hex> <key id> <tenant> <expires, unix ms or 0> <scope,scope or ->"
--                 "-<sha256 hex>"     "@<unix ms>" heart-beat: iam was heard of at that time
--
-- filter_context of the route: mode (key | bearer | either), socket (1 | 0), dir, poll_ms, fresh_ms, usable_ms.
-- A page cannot send headers with a WebSocket, but it can offer protocols: on routes for sockets `bearer.<credential>`
-- among them is taken for an Authorization, and out of what the service gets to see.
-- Known keys are honoured until the log is usable_ms old (iam may be away). One that the log does not say may be
-- younger than the log: if its check characters hold and the log is fresh, the service decides, which asks iam; all of
-- these together have one rate limit (x-key-id: unresolved). Is the log not fresh, it is 503. One that was taken back
-- (a "-" line) is 401, and so is what cannot be a key.
-- Answers are a bare status and a sentence; Envoy's local_reply_config makes the problem document.
-- A Lua error lets a request pass in Envoy: everything runs under pcall, and a later filter demands an identity.
local bit, sha256hex = require('bit'), require('sha256')

-- One per worker thread.
local S = {keys = {}, offset = 0, next_poll = 0, beat = 0, epoch = nil}
local GONE = 'gone'

local function apply(keys, op, rest)
  if op == '+' then
    local hash, entry = rest:match('^(%x+) (%S+ %S+ %d+ %S+)$')
    if hash and #hash == 64 then keys[hash] = entry end
  elseif op == '-' then
    keys[rest] = GONE
  else
    S.beat = tonumber(rest) or S.beat
  end
end

local function read_from(path, offset)
  local file = io.open(path, 'r')
  if not file then return nil end
  file:seek('set', offset)
  local text = file:read('*a') or ''
  file:close()
  return text
end

local function poll(now, context)
  S.next_poll = now + context:get('poll_ms')
  local dir = context:get('dir')
  local epoch = read_from(dir .. '/epoch', 0)
  epoch = epoch and epoch:match('^([%w._-]+)\n')
  if not epoch then return end
  local keys, offset = S.keys, S.offset
  if epoch ~= S.epoch then keys, offset = {}, 0 end
  local text = read_from(dir .. '/' .. epoch, offset)
  if not text then return end
  local last = 0
  for op, rest, after in text:gmatch('([+%-@])([^\n]*)\n()') do   -- whole lines only
    apply(keys, op, rest)
    last = after - 1
  end
  S.keys, S.offset, S.epoch = keys, offset + last, epoch
end

-- Returns the one value of a header, or nil; false when it was sent more than once.
local function single(headers, name)
  local value = headers:get(name)
  if value and (headers:getNumValues(name) > 1 or value:find(',', 1, true)) then return false end
  return value
end

-- Moves `bearer.<credential>` from the offered protocols to Authorization; false when there are two.
local function from_protocols(headers)
  local offered, kept, found = headers:get('sec-websocket-protocol'), {}, nil
  if not offered then return true end
  if #offered > 8192 or headers:getNumValues('sec-websocket-protocol') > 1 then return false end
  for protocol in offered:gmatch('[^,%s]+') do
    local carried = protocol:match('^bearer%.(%S+)$')
    if carried and found then return false end
    if carried then found = carried else kept[#kept + 1] = protocol end
  end
  if not found then return true end
  if headers:get('authorization') or headers:get('x-api-key') then return false end
  headers:replace('authorization', 'Bearer ' .. found)
  if #kept > 0 then
    headers:replace('sec-websocket-protocol', table.concat(kept, ', '))
  else
    headers:remove('sec-websocket-protocol')
  end
  return true
end

-- flagd's providers can send a selector but no header of ours: on gRPC an API key may come as that.
local function from_selector(headers)
  local selector = single(headers, 'flagd-selector')
  if not selector or selector:sub(1, 3) ~= 'sy_' then return end
  if headers:get('authorization') or headers:get('x-api-key') then return end
  if (headers:get('content-type') or ''):sub(1, 16) ~= 'application/grpc' then return end
  headers:remove('flagd-selector')
  headers:replace('x-api-key', selector)
end

-- Returns key, token; or nil, nil, status, sentence.
local function credential(headers)
  from_selector(headers)
  local key, authorization = single(headers, 'x-api-key'), single(headers, 'authorization')
  if key == false or authorization == false then return nil, nil, '400', 'A credential was sent twice.' end
  if key and authorization then return nil, nil, '400', 'Send either Authorization or X-API-Key.' end
  if key then return key end
  if not authorization then return nil, nil, '401', 'No credential was sent.' end
  if authorization:sub(1, 3) == 'sy_' then return authorization end   -- as Unleash's SDKs send it
  local token = authorization:match('^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$')
  if not token then return nil, nil, '401', 'Authorization must be Bearer.' end
  if token:sub(1, 3) == 'sy_' then return token end
  return nil, token
end

local function well_formed(key)
  if #key > 140 then return false end
  local kind, id, secret = key:match('^sy_(%l+)_(%w+)_(%w+)$')
  return kind and #kind >= 2 and #kind <= 4 and #id >= 8 and #id <= 40 and #secret >= 20 and #secret <= 80
end

-- The last six characters check the rest: CRC-32 in base 62 (libs/authz/authz/apikeys.py).
local ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

local function crc32(text)
  local crc = -1
  for i = 1, #text do
    crc = bit.bxor(crc, text:byte(i))
    for _ = 1, 8 do
      local low = bit.band(crc, 1)
      crc = bit.rshift(crc, 1)
      if low == 1 then crc = bit.bxor(crc, 0xedb88320) end
    end
  end
  return bit.bnot(crc) % 2^32
end

local function checks(key)
  local number, digits = crc32(key:sub(1, -7)), ''
  for _ = 1, 6 do
    local rest = number % 62
    digits, number = ALPHABET:sub(rest + 1, rest + 1) .. digits, (number - rest) / 62
  end
  return digits == key:sub(-6)
end

local function forward(headers, key, id)
  headers:replace('x-key-id', id)
  -- The service verifies the key again; and no filter after this one shall take it for a token.
  headers:replace('x-api-key', key)
  headers:remove('authorization')
end

local function look_up(headers, key, now, context)
  if now >= S.next_poll then poll(now, context) end
  local age = now - S.beat
  if not S.epoch or age > context:get('usable_ms') then return '503', 'API keys cannot be checked at the moment.' end
  if not well_formed(key) then return '401', 'The API key is not known.' end
  local entry = S.keys[sha256hex(key)]
  if entry == GONE or not (entry or checks(key)) then return '401', 'The API key is not known.' end
  if not entry then
    if age > context:get('fresh_ms') then return '503', 'API keys cannot be checked at the moment.' end
    return forward(headers, key, 'unresolved')
  end
  local id, tenant, expires, scope = entry:match('^(%S+) (%S+) (%d+) (%S+)$')
  expires = tonumber(expires)
  if expires > 0 and now >= expires then return '401', 'The API key has expired.' end
  headers:replace('x-tenant-id', tenant)
  headers:replace('x-scope', scope)
  forward(headers, key, id)
end

-- Returns status and sentence when the request is refused, nothing when it may go on.
local function check(handle)
  local headers, context = handle:headers(), handle:filterContext()
  local mode = context:get('mode')
  if context:get('socket') == 1 and not from_protocols(headers) then
    return '400', 'A credential was sent twice.'
  end
  local key, token, status, sentence = credential(headers)
  if status then return status, sentence end
  if key then
    if mode == 'bearer' then return '401', 'An API key does not open this.' end
    return look_up(headers, key, handle:timestamp(), context)
  end
  if mode == 'key' then return '401', 'Only an API key opens this.' end
  headers:replace('authorization', 'Bearer ' .. token)   -- jwt_authn knows only this spelling
end

function envoy_on_request(handle)
  local ok, status, sentence = pcall(check, handle)
  if not ok then
    handle:logErr('apikey: ' .. tostring(status))
    status, sentence = '503', 'Credentials cannot be checked at the moment.'
  end
  if status then handle:respond({[':status'] = status}, sentence) end
end
