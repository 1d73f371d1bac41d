// An Ethereum chain of our own, with a factory of contract wallets on it.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { SOURCE, TARGET, load } from './install.mjs';
import { start, stop } from './processes.mjs';
import { eventually, within } from './time.mjs';

/** The chain's id, which is anvil's usual one. */
export const CHAIN_ID = 31337;

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
  /** Starts the chain and puts the factory on it. */
  static async start() {
    const chain = new Chain();
    chain.handle = start(anvil(), ['--host', '127.0.0.1', '--port', '0', '--chain-id', String(CHAIN_ID)], {
      log: join(TARGET, 'logs/anvil.log'),
    });
    const port = await within(
      20_000,
      'anvil listens',
      new Promise((resolve, reject) => {
        let text = '';
        chain.handle.child.stdout.on('data', (chunk) => {
          text += chunk;
          const found = /Listening on 127\.0\.0\.1:(\d+)/.exec(text);
          if (found) resolve(found[1]);
        });
        chain.handle.ended.then((how) => reject(new Error(`anvil ended: ${how}`)));
      }),
    );
    chain.url = `http://127.0.0.1:${port}`;
    chain.viem = await load('viem');
    chain.contracts = await compile();
    [chain.payer] = await chain.#ask('eth_accounts', []);
    const receipt = await chain.#send({ data: chain.contracts.WalletFactory.bytecode });
    chain.factory = receipt.contractAddress;
    return chain;
  }

  /** What `folkmoot dev --evm` takes. */
  get option() {
    return `${CHAIN_ID}=${this.url}`;
  }

  /** A wallet contract that `owner` owns and that exists. */
  async deployedWallet(owner, salt) {
    await this.#send({ to: this.factory, data: this.#create(owner, salt) });
    return { address: await this.#addressOf(owner, salt), chain: CHAIN_ID };
  }

  /** A wallet contract that `owner` owns and that nobody made yet; only its address is known. */
  async counterfactualWallet(owner, salt) {
    return {
      address: await this.#addressOf(owner, salt),
      chain: CHAIN_ID,
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
