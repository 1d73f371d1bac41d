#!/usr/bin/env python3
"""Says back what it hears. Run it with: folkmoot bot run ./echo.py"""
import json
import sys


def say(**line):
    print(json.dumps(line), flush=True)


for line in sys.stdin:
    event = json.loads(line)
    if event["type"] == "ready":
        print("listening as", event["address"], file=sys.stderr)  # standard error is for people
    elif event["type"] == "message" and "text" in event:
        # The id makes sure that the answer is sent once, whatever happens in between.
        say(type="reply", id="echo-" + event["id"], messageId=event["messageId"], text="You said: " + event["text"])
    elif event["type"] == "member_joined":
        say(type="send", id="hello-" + event["id"], conversationId=event["conversationId"], text="Hello!")
    elif event["type"] == "error":
        print("error:", event["message"], file=sys.stderr)
