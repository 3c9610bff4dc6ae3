/** `itc validator`: who decides, and what changes that: bonds, votes, restarts. */
import { existsSync, readdirSync } from 'node:fs';
import { formatAddress } from '@itc/core/ledger/address.js';
import { amount, formatItc, parseItc, type Amount } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { BondedValidator, ValidatorsAnswer } from '@itc/client/api.js';
import { coSign } from '@itc/client/co-signing.js';
import { coSigningKeys } from '../co-signing-keys.ts';
import { bond, restart, unbond, weightVote } from '@itc/client/transactions.js';
import { layoutOf, readDevnet } from '../devnet/layout.ts';
import { keyPath, openKey } from '../keys.ts';
import { accountOf } from '../options.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatCount, table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

export const validator: Command = {
  name: 'validator',
  help: `itc validator list
itc validator bond AMOUNT [--key NAME] [--consensus NAME]
itc validator unbond AMOUNT [--key NAME]
itc validator vote VALIDATOR WEIGHT [--key NAME]
itc validator restart [--key NAME]
itc validator co-sign [--consensus NAME] [--renew] [--key NAME]

list      who decides in this epoch, who has bonded, and what the next epoch changes
bond      puts ITC of an account at stake for a consensus key, or adds to what is there
unbond    asks ITC back; it returns after ${LIMITS.unbondBlocks} blocks, and may be burned until then
vote      by a validator in office: weight for an account that has bonded; 0 votes it out
restart   by a validator in office that lost its disk: a new epoch, in which it may vote again
co-sign   registers an ML-DSA-44 key with which the validator co-signs checkpoints from the next epoch on, for those who
          fear quantum computers; made beside the consensus key when there is none

A set of validators changes at the end of an epoch only, and by less than a third of the weight at a time. VALIDATOR is an
address or the name of a key on this machine; AMOUNT is in ITC.

Options:
  --key NAME         the account that acts (default owner)
  --consensus NAME   key that is to sign blocks, or whose node is to co-sign (default: the account's own)
  --renew            another co-signing key in place of the one that is registered, which agrees to it

Example:
  itc validator bond 1000 --key alice --consensus alice-node
  itc validator vote alice 1 --key validator-1`,
  options: { key: { type: 'string' }, consensus: { type: 'string' }, renew: { type: 'boolean' } },
  run: async (call) => {
    const [verb, ...words] = call.arguments;
    const alone = (): void => {
      if (words.length > 0) throw new UsageError(`${verb ?? ''} takes no arguments`);
    };
    if (verb === 'list') {
      alone();
      return list(call);
    }
    if (verb === 'restart') {
      alone();
      return act(call, restart(), 'asked for a new epoch');
    }
    if (verb === 'bond') return bondSome(call, words);
    if (verb === 'unbond') return act(call, unbond(amountOf(words)), `asked back: ${words[0] ?? ''} ITC`);
    if (verb === 'vote') return vote(call, words);
    if (verb === 'co-sign') {
      alone();
      return register(call);
    }
    throw new UsageError('expected: list, bond, unbond, vote, restart or co-sign');
  },
};

async function list(call: Call): Promise<number> {
  const answer = await openClient(call.api).validators();
  const names = await localNames(call, answer);
  const rows = answer.validators.map((one) => rowOf(one, names.get(one.address) ?? one.name ?? ''));
  const { next } = answer;
  call.output.result(answer, [
    `epoch ${answer.epoch} since block ${formatCount(answer.since)}, now at ${formatCount(answer.height)}; ${answer.strong} of ${answer.total} weight certify`,
    next === undefined
      ? answer.changeDue
        ? `the validators change at the next multiple of ${answer.checkpointInterval} blocks`
        : 'no change is due'
      : `epoch ${next.epoch} begins after block ${formatCount(next.closes)} with ${next.validators.length} validators`,
    '',
    ...table([['VALIDATOR', 'STATE', 'WEIGHT', 'TARGET', 'BOND', 'ADDRESS', ''], ...rows]),
  ]);
  return 0;
}

function rowOf(one: BondedValidator, name: string): string[] {
  const remarks = [
    ...(one.connected ? [] : ['not connected']),
    ...(one.coSigning === undefined
      ? []
      : [one.coSigning.isInForce ? 'co-signs' : 'co-signs from the next epoch on']),
    ...one.unbonding.map(
      ({ amount: part, releaseAt }) =>
        `${formatItc(BigInt(part))} ITC return at block ${formatCount(releaseAt)}`,
    ),
    ...votesOf(one),
  ];
  return [
    name === '' ? '-' : name,
    one.state,
    String(one.weight),
    String(one.target),
    `${formatItc(BigInt(one.bond))} ITC`,
    one.address,
    remarks.join('; '),
  ];
}

/** How many ask for which weight. */
function votesOf(one: BondedValidator): string[] {
  const counts = new Map<number, number>();
  for (const { weight } of one.votes) counts.set(weight, (counts.get(weight) ?? 0) + 1);
  return [...counts].map(([weight, count]) => `${count} vote${count === 1 ? '' : 's'} for weight ${weight}`);
}

/** Names of keys on this machine say more than addresses. Sealed keys keep theirs to themselves. */
async function localNames(call: Call, answer: ValidatorsAnswer): Promise<ReadonlyMap<string, string>> {
  const layout = layoutOf(call.dataDir);
  const wanted = new Set(answer.validators.map(({ address }) => address));
  const candidates = new Set([
    ...(readDevnet(layout)?.processes.map(({ name }) => name) ?? []),
    ...(existsSync(layout.keys) ? readdirSync(layout.keys).map((file) => file.replace(/\.json$/, '')) : []),
  ]);
  const names = new Map<string, string>();
  for (const name of candidates) {
    if (names.size === wanted.size) break;
    if (!existsSync(keyPath(layout, name))) continue;
    const address = await openKey(call.dataDir, name).then(
      (keys) => formatAddress(keys.address),
      () => undefined,
    );
    if (address !== undefined && wanted.has(address) && !names.has(address)) names.set(address, name);
  }
  return names;
}

async function bondSome(call: Call, words: readonly string[]): Promise<number> {
  const value = amountOf(words);
  const wallet = await openWallet(call);
  const named = textOption(call, 'consensus');
  const consensus = named === undefined ? wallet.signer : await openKey(call.dataDir, named);
  const { chain } = wallet;
  const account = wallet.signer.address;
  return finish(
    call,
    wallet,
    await bond({ chain, account, consensus, amount: value }),
    `bonded: ${words[0] ?? ''} ITC`,
  );
}

async function register(call: Call): Promise<number> {
  const wallet = await openWallet(call);
  const { chain, client } = wallet;
  const account = wallet.signer.address;
  const named = textOption(call, 'consensus') ?? textOption(call, 'key') ?? 'owner';
  const { validators } = await client.validators();
  const registered = validators.find(({ address }) => address === formatAddress(account))?.coSigning;
  const { key, former } = await coSigningKeys(layoutOf(call.dataDir), named, {
    registered,
    isRenewed: call.options['renew'] === true,
  });
  const body = await coSign({
    chain,
    account,
    key,
    ...(former && registered && { former: { key: former, since: registered.since } }),
  });
  return finish(call, wallet, body, `co-signs with ${formatAddress(key.address)}`);
}

async function vote(call: Call, words: readonly string[]): Promise<number> {
  const [whom, weight, ...rest] = words;
  if (whom === undefined || weight === undefined || rest.length > 0)
    throw new UsageError('expected a validator and a weight');
  const value = Number(weight);
  if (!/^\d{1,10}$/.test(weight) || value > LIMITS.weightMax)
    throw new UsageError(`expected a weight from 0 to ${LIMITS.weightMax}, got ${weight}`);
  const address = accountOf(call, whom);
  return act(call, weightVote({ validator: address, weight: value }), `voted: weight ${value} for ${whom}`);
}

async function act(call: Call, body: Body, said: string): Promise<number> {
  return finish(call, await openWallet(call), body, said);
}

async function openWallet(call: Call): Promise<Wallet> {
  return Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
}

async function finish(call: Call, wallet: Wallet, body: Body, said: string): Promise<number> {
  const sent = await wallet.send(body);
  const account = formatAddress(wallet.signer.address);
  const { changeDue, epoch } = await wallet.client.validators();
  call.output.result({ ok: true, ...sent, kind: body.kind, account, epoch, changeDue }, [
    `${said}, final in block ${sent.height}`,
    ...(changeDue ? ['the validators change at the next checkpoint height; see itc validator list'] : []),
  ]);
  return 0;
}

function amountOf(words: readonly string[]): Amount {
  const [text, ...rest] = words;
  const value = text === undefined ? undefined : parseItc(text);
  if (value === undefined || value === 0n || rest.length > 0)
    throw new UsageError('expected one amount above 0 in ITC, such as 1000 or 0.5');
  return amount(value);
}
