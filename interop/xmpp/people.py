"""People with slixmpp: each keeps what it hears until somebody looks for it."""

import asyncio
import ssl

from slixmpp import ClientXMPP

PATIENCE = 30
PLUGINS = ["xep_0030", "xep_0059", "xep_0191", "xep_0199", "xep_0280", "xep_0313", "xep_0352", "xep_0004", "xep_0203", "xep_0297", "xep_0359"]


class Person(ClientXMPP):
    """A client of one account."""

    def __init__(self, name, address, resource="test", direct=False, mechanism=None, resume=False):
        context = ssl.create_default_context()
        # The server vouches for itself.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(f"{name}@localhost/{resource}", name, sasl_mech=mechanism, ssl_context=context)
        self.enable_direct_tls = direct
        self.enable_starttls = not direct
        self.enable_plaintext = False
        self.auto_authorize = None
        self.auto_subscribe = False
        self.whole_address = address
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        if resume:
            self.register_plugin("xep_0198")
        self.heard = []
        self.news = asyncio.Condition()
        for event in ["message", "presence", "carbon_received", "carbon_sent", "session_start", "session_resumed",
                      "failed_all_auth", "disconnected", "roster_update", "presence_subscribe", "message_error"]:
            self.add_event_handler(event, lambda what, event=event: self.keep(event, what))

    def keep(self, event, what):
        self.heard.append((event, what))
        asyncio.ensure_future(self.wake())

    async def wake(self):
        async with self.news:
            self.news.notify_all()

    async def hear(self, event, wanted=lambda what: True):
        """The first of these events that is wanted; it is forgotten then."""
        def look():
            for place, (name, what) in enumerate(self.heard):
                if name == event and wanted(what):
                    return place
            return None

        async with self.news:
            try:
                await asyncio.wait_for(self.news.wait_for(lambda: look() is not None), PATIENCE)
            except TimeoutError:
                told = [f"{name}: {what}" for name, what in self.heard]
                raise AssertionError(f"{self.boundjid} never heard {event}; it heard {told}") from None
            return self.heard.pop(look())[1]

    async def enter(self):
        """Connects and logs in."""
        self.connect(*self.whole_address)
        await self.hear("session_start")
        return self

    async def come(self):
        """Connects, logs in, and is there for others."""
        await self.enter()
        await asyncio.wait_for(self.get_roster(), PATIENCE)
        self.send_presence()
        await self.hear("presence", lambda presence: presence["from"] == self.boundjid)
        return self

    async def say(self, to, body, kind="chat"):
        self.send_message(mto=to, mbody=body, mtype=kind)
        # What the server answered after this has seen the message.
        await self.settle()

    async def settle(self):
        await asyncio.wait_for(self.plugin["xep_0199"].send_ping("localhost"), PATIENCE)

    async def leave(self):
        await asyncio.wait_for(self.disconnect(), PATIENCE)

    def bodies(self, event="message"):
        """The texts of all messages that were heard and not looked for."""
        return [what["body"] for name, what in self.heard if name == event and what["body"]]
