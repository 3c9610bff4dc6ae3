/** Members by stake: founding a subnet, joining, leaving, admitting, and what comes of it. */
import {
  accuseMember,
  admitMember,
  collectStake,
  foundSubnet,
  joinSubnet,
  leaveSubnet,
} from '@itc/client/membership.js';
import type { Client } from '@itc/client/client.js';
import type { SubnetMembersAnswer } from '@itc/client/api.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, formatItc, parseItc } from '@itc/core/ledger/ids.js';
import { layoutOf, readDevnet } from '../devnet/layout.ts';
import { setUpMember } from '../devnet/added-member.ts';
import { keyNamed } from '../keys.ts';
import { localNames } from '../names.ts';
import { integerOption, textOption, UsageError, type Call } from '../terminal/command.ts';
import { formatCount, table } from '../terminal/output.ts';
import { addressOfWord, amountOf, clientOf, subnetOf, timeoutOption, walletOf } from './subnet-call.ts';

const POLL_MS = 500;
const itc = (value: bigint | string): string => `${formatItc(BigInt(value))} ITC`;

export async function list(call: Call, words: readonly string[]): Promise<number> {
  if (words.length > 0) throw new UsageError('subnet list takes no arguments');
  const byName = new Intl.Collator('en', { numeric: true });
  const subnets = [...(await clientOf(call).subnets())].sort((a, b) => byName.compare(a.name, b.name));
  call.output.result({ ok: true, subnets }, [
    ...table([
      ['name', 'members', 'checkpoint', 'payloads', 'id'],
      ...subnets.map(({ name, members, checkpoint, payloads, id }) => [
        name,
        `${members.length}`,
        formatCount(checkpoint),
        formatCount(payloads),
        id,
      ]),
    ]),
    ...subnets.flatMap(({ name, reason }) => (reason === undefined ? [] : [`${name}: ${reason}`])),
  ]);
  return 0;
}

export async function show(call: Call, words: readonly string[]): Promise<number> {
  const [where, ...rest] = words;
  if (rest.length > 0) throw new UsageError('expected one subnet');
  const client = clientOf(call);
  const { id } = await subnetOf(client, where);
  const answer = await client.subnetMembers(id);
  call.output.result({ ok: true, ...answer }, shown(answer, localNames(call.dataDir)));
  return 0;
}

function shown(answer: SubnetMembersAnswer, names: ReadonlyMap<string, string>): string[] {
  const { name, subnet, checkpoint, members, terms, next, turnAfter } = answer;
  const stakes = new Map(answer.stakes.map((stake) => [stake.member, stake]));
  const decides = new Set(members.map(({ member }) => member));
  const row = (member: string, weight: string): string[] => {
    const stake = stakes.get(member);
    const remarks = [
      ...(stake?.leaving ?? []).map(
        (part) => `${itc(part.amount)} return at block ${formatCount(part.releaseAt)}`,
      ),
      ...(stake?.isPunished === true ? ['punished'] : []),
      ...(stake !== undefined && !stake.isAdmitted
        ? [`waits for admission, ${stake.votes.length} votes`]
        : []),
    ];
    return [
      member,
      names.get(member) ?? '',
      weight,
      stake === undefined ? 'fixed' : itc(stake.stake),
      remarks.join('; '),
    ];
  };
  return [
    `${name}, ${subnet}, checkpoint ${formatCount(checkpoint)}`,
    terms === undefined
      ? 'its members are fixed'
      : `${terms.isByInvitation ? 'by invitation' : 'open'}: at least ${itc(terms.stakeMin)}, ${itc(terms.stakePerWeight)} for a unit of weight, back after ${formatCount(terms.delayBlocks)} blocks`,
    ...table([
      ['member', 'key here', 'weight', 'stake', ''],
      ...members.map(({ member, weight }) => row(member, `${weight}`)),
      ...answer.stakes.filter(({ member }) => !decides.has(member)).map(({ member }) => row(member, '0')),
    ]),
    ...(next === undefined
      ? []
      : [`from checkpoint ${formatCount((turnAfter ?? 0) + 1)} on: ${next.length} members`]),
    ...(next === undefined && answer.changeDue ? ['the next turn will have other members'] : []),
  ];
}

/** Founds a subnet with members by stake; keys that are not on this machine yet are made. */
export async function create(call: Call, words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  const names = textOption(call, 'members')?.split(',') ?? [];
  if (name === undefined || rest.length > 0) throw new UsageError('expected a name for the subnet');
  if (names.length === 0) throw new UsageError('--members is needed: names of keys, with commas between');
  const stake = amountOf(textOption(call, 'stake') ?? '1000');
  const perWeight = parseItc(textOption(call, 'per-weight') ?? '1');
  if (perWeight === undefined) throw new UsageError('--per-weight takes an amount in ITC');
  const wallet = await walletOf(call);
  const account = wallet.signer.address;
  const layout = layoutOf(call.dataDir);
  const members = [];
  for (const one of names) members.push({ key: await keyNamed(layout, one), amount: stake });
  const body = await foundSubnet({
    chain: wallet.chain,
    account,
    name,
    powBits: integerOption(call, 'pow-bits', 0, { min: 0, max: 24 }),
    terms: {
      stakePerWeight: amount(perWeight),
      stakeMin: amountOf(textOption(call, 'stake-min') ?? formatItc(stake)),
      delayBlocks: integerOption(call, 'delay', 86_400, { min: 1, max: 604_800 }),
      isByInvitation: call.options['invitation'] === true,
    },
    members,
  });
  const sent = await wallet.send(body);
  const id = toHex(subnetId(account, name));
  const configs = await configure(call, id, names);
  call.output.result({ ok: true, ...sent, subnet: id, name, members: names, configs }, [
    `${name} is founded, final in block ${sent.height}: ${id}`,
    ...configs.map((path) => `start a member: itc node --config ${path}`),
  ]);
  return 0;
}

/** In the folder of a devnet: what `itc node` needs to run them. */
async function configure(call: Call, subnet: string, names: readonly string[]): Promise<string[]> {
  const layout = layoutOf(call.dataDir);
  if (readDevnet(layout) === undefined) return [];
  const paths: string[] = [];
  for (const name of names) paths.push(await setUpMember(layout, { name, subnet, beside: names }));
  return paths;
}

export async function join(call: Call, words: readonly string[]): Promise<number> {
  const [where, text, ...rest] = words;
  const memberName = textOption(call, 'member');
  if (rest.length > 0 || memberName === undefined)
    throw new UsageError('expected a subnet, a stake, and --member NAME: the key its process signs with');
  const value = amountOf(text);
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const key = await keyNamed(layoutOf(call.dataDir), memberName);
  const { chain } = wallet;
  const account = wallet.signer.address;
  const sent = await wallet.send(await joinSubnet({ chain, account, subnet: subnet.id, key, amount: value }));
  const [config] = await configure(call, toHex(subnet.id), [memberName]);
  call.output.note(`staked, final in block ${sent.height}`);
  if (config !== undefined) call.output.note(`start it: itc node --config ${config}`);
  const isIn = (answer: SubnetMembersAnswer): boolean =>
    answer.members.some(({ member }) => member === formatAddress(key.address));
  const answer = await untilTurn(call, wallet.client, subnet.id, isIn);
  call.output.result(
    {
      ok: true,
      ...sent,
      subnet: toHex(subnet.id),
      member: formatAddress(key.address),
      stake: String(value),
      inForce: isIn(answer),
      turnAfter: answer.turnAfter,
      config,
    },
    [
      isIn(answer)
        ? `${memberName} decides in ${subnet.name}, since a checkpoint up to ${answer.checkpoint}`
        : answer.terms?.isByInvitation === true
          ? `${memberName} waits for the members’ votes: itc subnet admit`
          : `${memberName} decides from a turn behind checkpoint ${answer.turnAfter ?? 0} on`,
    ],
  );
  return 0;
}

/** With `--wait`: until the turn has come. */
async function untilTurn(
  call: Call,
  client: Client,
  subnet: Hash,
  isDone: (answer: SubnetMembersAnswer) => boolean,
): Promise<SubnetMembersAnswer> {
  let told = -1;
  for (const end = Date.now() + timeoutOption(call); ;) {
    const answer = await client.subnetMembers(subnet);
    if (call.options['wait'] !== true || isDone(answer)) return answer;
    if (Date.now() > end)
      throw new LedgerError('peer.timeout', `the turn has not come: checkpoint ${answer.checkpoint}`);
    if (answer.checkpoint !== told)
      call.output.note(
        `checkpoint ${answer.checkpoint} of ${answer.turnAfter ?? 0}${answer.next === undefined ? '' : ', elected'}`,
      );
    told = answer.checkpoint;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export async function leave(call: Call, words: readonly string[]): Promise<number> {
  const [where, text, ...rest] = words;
  const name = textOption(call, 'member');
  if (rest.length > 0 || name === undefined) throw new UsageError('expected a subnet, and --member NAME');
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const member = addressOfWord(call, name);
  const before = await wallet.client.subnetMembers(subnet.id);
  const staked = before.stakes.find((stake) => stake.member === formatAddress(member));
  const value = text === undefined ? amount(BigInt(staked?.stake ?? 0)) : amountOf(text);
  const sent = await wallet.send(leaveSubnet({ subnet: subnet.id, member, amount: value }));
  const isOut = (answer: SubnetMembersAnswer): boolean =>
    text !== undefined || !answer.members.some((one) => one.member === formatAddress(member));
  const answer = await untilTurn(call, wallet.client, subnet.id, isOut);
  const leaving = answer.stakes.find((stake) => stake.member === formatAddress(member))?.leaving.at(-1);
  call.output.result(
    {
      ok: true,
      ...sent,
      subnet: toHex(subnet.id),
      member: formatAddress(member),
      amount: String(value),
      isOut: isOut(answer),
      releaseAt: leaving?.releaseAt,
    },
    [
      `${itc(value)} are leaving, final in block ${sent.height}`,
      `they return ${leaving === undefined ? 'with a checkpoint' : `after block ${formatCount(leaving.releaseAt)}`}; keep the process running until it decides no longer`,
    ],
  );
  return 0;
}

export async function admit(call: Call, words: readonly string[]): Promise<number> {
  const [where, whom, ...rest] = words;
  const by = textOption(call, 'member');
  if (rest.length > 0 || by === undefined)
    throw new UsageError('expected a subnet, a candidate, and --member NAME: whose vote it is');
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const [candidate, voter] = [addressOfWord(call, whom), addressOfWord(call, by)];
  const sent = await wallet.send(admitMember({ subnet: subnet.id, voter, candidate }));
  call.output.result({ ok: true, ...sent, subnet: toHex(subnet.id), candidate: formatAddress(candidate) }, [
    `voted for ${formatAddress(candidate)}, final in block ${sent.height}`,
  ]);
  return 0;
}

export async function collect(call: Call, words: readonly string[]): Promise<number> {
  const [where, whom, ...rest] = words;
  if (rest.length > 0) throw new UsageError('expected a subnet and a member');
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const member = addressOfWord(call, whom);
  const sent = await wallet.send(collectStake({ subnet: subnet.id, member }));
  call.output.result({ ok: true, ...sent, member: formatAddress(member) }, [
    `stake of ${formatAddress(member)} is back, final in block ${sent.height}`,
  ]);
  return 0;
}

/** What the node at hand can show against members: brought by whoever pays the fee. Members do it themselves, too. */
export async function accuse(call: Call, words: readonly string[]): Promise<number> {
  const [where, ...rest] = words;
  if (rest.length > 0) throw new UsageError('expected one subnet');
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const { faults } = await wallet.client.subnetMembers(subnet.id);
  const sent = [];
  for (const fault of faults) sent.push(await wallet.send(accuseMember(fault)));
  call.output.result({ ok: true, subnet: toHex(subnet.id), sent }, [
    faults.length === 0
      ? `this node holds nothing against members of ${subnet.name}`
      : `${faults.length} accused, final in block ${sent.at(-1)?.height}: half of their stake burns, and they leave with the next turn`,
  ]);
  return 0;
}
