// Ethereum chains of our own, with a factory of contract wallets on each.
//
// Over v3 an SDK asks the node about a contract's signature. Over d14n it asks the chain itself:
// the newer SDKs look for the usual test chain on its usual port, the older one knows only
// public chains, for which it takes another address from the environment.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { SOURCE, TARGET, load } from './install.mjs';
import { isFree } from './ports.mjs';
import { start, stop } from './processes.mjs';
import { eventually, within } from './time.mjs';

/** The test chain that SDKs know of, and where they look for it. */
export const TEST_CHAIN = { id: 31337, port: 8545 };
/** A chain that passes for a public one. */
export const PUBLIC_CHAIN = { id: 10, port: 0 };

function anvil() {
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const file = join(TARGET, `node_modules/@foundry-rs/anvil-linux-${architecture}/bin/anvil`);
  if (!existsSync(file)) throw new Error(`no anvil for this machine: ${file}`);
  return file;
}

/** Compiles our contracts: `{ Wallet: { abi, bytecode }, … }`. */
async function compile() {
  const { default: solc } = await load('solc');
  const input = {
    language: 'Solidity',
    sources: { 'Wallet.sol': { content: readFileSync(join(SOURCE, 'contracts/Wallet.sol'), 'utf8') } },
    settings: { evmVersion: 'paris', outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const errors = (output.errors ?? []).filter((entry) => entry.severity === 'error');
  if (errors.length) throw new Error(errors.map((entry) => entry.formattedMessage).join('\n'));
  return Object.fromEntries(
    Object.entries(output.contracts['Wallet.sol']).map(([name, contract]) => [
      name,
      { abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` },
    ]),
  );
}

export class Chain {
  /** Starts a chain and puts the factory on it. */
  static async start({ id, port }) {
    const chain = new Chain();
    chain.id = id;
    const where = ['--host', '127.0.0.1', '--port', String(port === 0 || (await isFree(port)) ? port : 0)];
    chain.handle = start(anvil(), [...where, '--chain-id', String(id)], { log: join(TARGET, `logs/chain-${id}.log`) });
    chain.port = await within(
      20_000,
      'anvil listens',
      new Promise((resolve, reject) => {
        let text = '';
        chain.handle.child.stdout.on('data', (chunk) => {
          text += chunk;
          const found = /Listening on 127\.0\.0\.1:(\d+)/.exec(text);
          if (found) resolve(Number(found[1]));
        });
        chain.handle.ended.then((how) => reject(new Error(`anvil ended: ${how}`)));
      }),
    );
    chain.url = `http://127.0.0.1:${chain.port}`;
    chain.viem = await load('viem');
    chain.contracts = await compile();
    [chain.payer] = await chain.#ask('eth_accounts', []);
    const receipt = await chain.#send({ data: chain.contracts.WalletFactory.bytecode });
    chain.factory = receipt.contractAddress;
    return chain;
  }

  /** What `folkmoot dev --evm` takes. */
  get option() {
    return `${this.id}=${this.url}`;
  }

  /** A wallet contract that `owner` owns and that exists. */
  async deployedWallet(owner, salt) {
    await this.#send({ to: this.factory, data: this.#create(owner, salt) });
    return { address: await this.#addressOf(owner, salt), chain: this.id };
  }

  /** A wallet contract that `owner` owns and that nobody made yet; only its address is known. */
  async counterfactualWallet(owner, salt) {
    return {
      address: await this.#addressOf(owner, salt),
      chain: this.id,
      factory: this.factory,
      factoryCall: this.#create(owner, salt),
    };
  }

  async stop() {
    await stop(this.handle, { patience: 3000 });
  }

  #create(owner, salt) {
    const { abi } = this.contracts.WalletFactory;
    return this.viem.encodeFunctionData({ abi, functionName: 'create', args: [owner, salt] });
  }

  async #addressOf(owner, salt) {
    const { abi } = this.contracts.WalletFactory;
    const data = this.viem.encodeFunctionData({ abi, functionName: 'addressOf', args: [owner, salt] });
    const answer = await this.#ask('eth_call', [{ to: this.factory, data }, 'latest']);
    return this.viem.decodeFunctionResult({ abi, functionName: 'addressOf', data: answer });
  }

  /** Sends a transaction and waits until anvil has mined it. */
  async #send(transaction) {
    const hash = await this.#ask('eth_sendTransaction', [{ from: this.payer, gas: '0x500000', ...transaction }]);
    const receipt = await eventually('the transaction is mined', 10, () =>
      this.#ask('eth_getTransactionReceipt', [hash]),
    );
    if (receipt.status !== '0x1') throw new Error(`the chain refused a transaction: ${JSON.stringify(receipt)}`);
    return receipt;
  }

  async #ask(method, params) {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    const { result, error } = await response.json();
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }
}
