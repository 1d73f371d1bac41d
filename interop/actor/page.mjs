// The browser SDK in a page: the same operations, called from outside as `act(name, args)`.

import * as sdk from '@xmtp/browser-sdk';

import { asJson, operations } from './ops.mjs';

const ops = operations(sdk);

globalThis.act = async (name, args) => {
  try {
    return asJson({ result: (await ops[name](args)) ?? null });
  } catch (error) {
    return asJson({ error: String(error?.stack ?? error?.message ?? error) });
  }
};
