// Fetches everything foreign ahead, while something else is built. What cannot be had is told later, by
// whoever needs it.

import { nodeForNewestSdk, packages, publishedProgram, slixmpp } from './lib/install.mjs';

try {
  await packages();
  await nodeForNewestSdk();
  await publishedProgram();
  await slixmpp();
} catch (error) {
  console.log(`not everything could be fetched ahead: ${String(error.message).split('\n')[0]}`);
}
