"""A SIEM of somebody else's: takes what `standardwebhooks` finds well signed, and tells on stdout what it took.

Started with the port on stdout's first line; the first line of stdin is the secret as the stream's maker was shown it.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError


def tell(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Receiver(BaseHTTPRequestHandler):
    secret = ""

    def do_POST(self):
        if not Receiver.secret:
            Receiver.secret = sys.stdin.readline().strip()
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            took = Webhook(Receiver.secret).verify(body, dict(self.headers.items()))
        except WebhookVerificationError as wrong:
            self.send_response(401)
            tell({"refused": str(wrong)})
        else:
            self.send_response(204)
            tell({"took": took})
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
tell(server.server_port)
server.serve_forever()
