"""A mail server for tests: aiosmtpd, with the faults that addresses ask for.

    smtp_server.py DIRECTORY MODE [CERTIFICATE KEY]

MODE is plain, starttls (and AUTH, as pat with the password secret) or tls. It prints
its port, and keeps each message as a file of its own.
"""
import asyncio
import itertools
import os
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

directory, mode = sys.argv[1:3]
count = itertools.count()


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "553 5.1.8 <" + address + "> is of no domain"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if envelope.mail_from.startswith("late@"):  # a refusal of the sender that waits for the recipient
            return "550 5.1.8 <" + envelope.mail_from + "> is of no domain"
        for name, answer in {
            "nobody": "550 5.1.1 <" + address + "> is not known here",
            "old": "550 <" + address + "> is not known here",
            "busy": "451 4.3.0 <" + address + "> later",
            "relay": "554 5.7.1 <" + address + "> relaying denied",
        }.items():
            if address.startswith(name + "@"):
                return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        to = envelope.rcpt_tos[0]
        if not to.startswith("before@"):
            path = os.path.join(directory, "%06d" % next(count))
            with open(path + ".part", "wb") as file:
                file.write(envelope.content)
            os.rename(path + ".part", path + ".eml")
        if to.startswith(("before@", "after@")):
            server.transport.abort()
        if to.startswith("slow@"):
            await asyncio.sleep(3600)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"pat" and data.password == b"secret"
    return AuthResult(success=good, handled=good)


context = None
if mode != "plain":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*sys.argv[3:5])
options = {}
if mode == "starttls":
    options = dict(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True)
if mode == "tls":
    options = dict(ssl_context=context)
controller = Controller(Handler(), hostname="127.0.0.1", port=int(os.environ["PORT"]), **options)
controller.start()
print("ready", flush=True)
sys.stdin.read()  # until the test ends
controller.stop()
