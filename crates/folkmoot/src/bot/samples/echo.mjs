#!/usr/bin/env node
// Says back what it hears. Run it with: folkmoot bot run ./echo.mjs
import { createInterface } from 'node:readline';

const say = (line) => console.log(JSON.stringify(line));

for await (const line of createInterface({ input: process.stdin })) {
  const event = JSON.parse(line);
  if (event.type === 'ready') {
    console.error(`listening as ${event.address}`); // standard error is for people
  } else if (event.type === 'message' && event.text !== undefined) {
    // The id makes sure that the answer is sent once, whatever happens in between.
    say({ type: 'reply', id: `echo-${event.id}`, messageId: event.messageId, text: `You said: ${event.text}` });
  } else if (event.type === 'member_joined') {
    say({ type: 'send', id: `hello-${event.id}`, conversationId: event.conversationId, text: 'Hello!' });
  } else if (event.type === 'error') {
    console.error(`error: ${event.message}`);
  }
}
