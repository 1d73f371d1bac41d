"""What people do with slixmpp against our server: python3 scenarios.py xmpp://HOST:PORT xmpps://HOST:PORT [TEXT]

Each scenario is a function; its name and its first line say what it shows. TEXT picks scenarios by name.
"""

import asyncio
import logging
import sys
import time
from urllib.parse import urlsplit

from people import Person

STARTTLS, DIRECT = [(urlsplit(url).hostname, urlsplit(url).port) for url in sys.argv[1:3]]
WANTED = sys.argv[3] if len(sys.argv) > 3 else ""


def person(name, resource="test", **options):
    return Person(name, STARTTLS, resource, **options)


async def everybody_logs_in():
    """STARTTLS and direct TLS, each mechanism that slixmpp has."""
    for mechanism in ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", None]:
        for direct in [False, True]:
            address = DIRECT if direct else STARTTLS
            alice = await Person("alice", address, direct=direct, mechanism=mechanism).enter()
            await alice.settle()
            await alice.leave()


async def a_wrong_password_is_refused():
    alice = person("alice")
    alice.credentials["password"] = "wrong"
    alice.password = "wrong"
    alice.connect(*STARTTLS)
    await alice.hear("failed_all_auth")
    alice.abort()


async def two_people_meet_and_part():
    """Requests, approvals, presence, roster pushes, and the end of it."""
    alice, bob = await person("alice").come(), await person("bob").come()
    alice.send_presence_subscription("bob@localhost")
    await bob.hear("presence_subscribe", lambda asked: asked["from"].bare == "alice@localhost")
    bob.send_presence_subscription("alice@localhost", ptype="subscribed")
    bob.send_presence_subscription("alice@localhost")
    await alice.hear("presence", lambda seen: seen["from"] == bob.boundjid)
    await alice.hear("presence_subscribe")
    alice.send_presence_subscription("bob@localhost", ptype="subscribed")
    await bob.hear("presence", lambda seen: seen["from"] == alice.boundjid)
    bob.send_presence(pshow="away")
    await alice.hear("presence", lambda seen: seen["show"] == "away")
    await alice.settle()
    assert alice.client_roster["bob@localhost"]["subscription"] == "both"
    await bob.leave()
    await alice.hear("presence", lambda seen: seen["type"] == "unavailable" and seen["from"].bare == "bob@localhost")
    await alice.del_roster_item("bob@localhost")
    await alice.settle()
    assert alice.client_roster["bob@localhost"]["subscription"] in ["none", "remove"]
    await alice.leave()


async def messages_reach_all_devices():
    """Both sides' other devices get copies, with the ids of the archive."""
    phone, desk = await person("alice", "phone").come(), await person("alice", "desk").come()
    bob, pad = await person("bob", "bob").come(), await person("bob", "pad").come()
    await desk.plugin["xep_0280"].enable()
    await pad.plugin["xep_0280"].enable()
    await bob.say(phone.boundjid, "hello phone")
    heard = await phone.hear("message", lambda message: message["body"] == "hello phone")
    copy = (await desk.hear("carbon_received"))["carbon_received"]
    assert copy["body"] == "hello phone", copy
    assert heard["stanza_id"]["id"] == copy["stanza_id"]["id"] != "", (heard, copy)
    sent = (await pad.hear("carbon_sent"))["carbon_sent"]
    assert sent["body"] == "hello phone", sent
    for one in [phone, desk, bob, pad]:
        await one.leave()


async def archives_are_read_page_by_page():
    """Forwards, backwards, by contact; an unknown id is an error."""
    alice, carol = await person("alice").come(), await person("carol").come()
    mark = str(time.time())
    for number in range(25):
        await alice.say("carol@localhost", f"{mark} {number}")
    expected = [f"{mark} {number}" for number in range(25)]
    for one, other in [(alice, "carol@localhost"), (carol, "alice@localhost")]:
        for reverse in [False, True]:
            found = []
            async for message in one.plugin["xep_0313"].iterate(with_jid=other, rsm={"max": 7}, reverse=reverse):
                found.append(message["mam_result"]["forwarded"]["stanza"]["body"])
            ours = [body for body in found if body.startswith(mark)]
            assert (ours[::-1] if reverse and ours != expected else ours) == expected, ours
    await alice.leave()
    await carol.leave()


async def messages_wait_for_who_is_away():
    alice = await person("alice").come()
    mark = str(time.time())
    for number in range(3):
        await alice.say("carol@localhost", f"{mark} {number}")
    carol = await person("carol", "later").come()
    for number in range(3):
        message = await carol.hear("message", lambda heard: heard["body"] == f"{mark} {number}")
        assert message["delay"]["stamp"], message
    await alice.leave()
    await carol.leave()


async def nobody_hears_from_who_is_blocked():
    alice, bob = await person("alice").come(), await person("bob").come()
    await alice.plugin["xep_0191"].block("bob@localhost")
    assert "bob@localhost" in await alice.plugin["xep_0191"].get_blocked_jids()
    bob.send_message(mto="alice@localhost", mbody="hello?", mtype="chat")
    refused = await bob.hear("message_error")
    assert refused["error"]["condition"] == "service-unavailable", refused
    assert alice.bodies() == [], alice.bodies()
    await alice.plugin["xep_0191"].unblock("bob@localhost")
    await bob.say("alice@localhost", "hello!")
    await alice.hear("message", lambda heard: heard["body"] == "hello!")
    await alice.leave()
    await bob.leave()


async def a_cut_connection_is_resumed():
    """The session goes on; what was said meanwhile comes once."""
    bob = await person("bob").come()
    alice = await person("alice", "moving", resume=True).come()
    await alice.settle()
    alice.transport.abort()
    await alice.hear("disconnected")
    for number in range(5):
        await bob.say("alice@localhost", f"meanwhile {number}")
    alice.connect(*STARTTLS)
    await alice.hear("session_resumed")
    for number in range(5):
        await alice.hear("message", lambda heard: heard["body"] == f"meanwhile {number}")
    await alice.settle()
    assert alice.bodies() == [], alice.bodies()
    await alice.leave()
    await bob.leave()


async def the_server_says_what_it_can_do():
    alice = await person("alice").come()
    server = await alice.plugin["xep_0030"].get_info(jid="localhost")
    features = server["disco_info"]["features"]
    for feature in ["urn:xmpp:carbons:2", "urn:xmpp:blocking", "urn:xmpp:ping", "msgoffline"]:
        assert feature in features, features
    account = await alice.plugin["xep_0030"].get_info(jid="alice@localhost")
    assert "urn:xmpp:mam:2" in account["disco_info"]["features"], account
    await alice.leave()


SCENARIOS = [
    everybody_logs_in,
    a_wrong_password_is_refused,
    two_people_meet_and_part,
    messages_reach_all_devices,
    archives_are_read_page_by_page,
    messages_wait_for_who_is_away,
    nobody_hears_from_who_is_blocked,
    a_cut_connection_is_resumed,
    the_server_says_what_it_can_do,
]


async def main():
    logging.basicConfig(level=logging.CRITICAL)
    wrong = 0
    for scenario in SCENARIOS:
        name = scenario.__name__.replace("_", " ")
        if WANTED not in name:
            continue
        began = time.monotonic()
        try:
            await asyncio.wait_for(scenario(), 120)
            print(f"ok    slixmpp: {name} ({time.monotonic() - began:.1f} s)")
        except Exception as error:
            wrong += 1
            print(f"FAIL  slixmpp: {name}: {type(error).__name__} {error}")
    return 1 if wrong else 0


sys.exit(asyncio.run(main()))
