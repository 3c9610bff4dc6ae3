/** All that `itc` can be asked for. */
import type { Command } from './terminal/command.ts';

/** A command by its name; its code is loaded when it is called. */
export interface Entry {
  readonly name: string;
  readonly summary: string;
  /** Each command is loaded when it is called: switching a lamp does not wait for the code of a validator. */
  readonly load: () => Promise<Command>;
}

export const COMMANDS: readonly Entry[] = [
  {
    name: 'devnet',
    summary: 'run the whole system on this machine',
    load: async () => (await import('./commands/devnet.ts')).devnet,
  },
  {
    name: 'status',
    summary: 'what runs, and why not',
    load: async () => (await import('./commands/status.ts')).status,
  },
  {
    name: 'key',
    summary: 'make keys, change which act for an account, guard and recover it',
    load: async () => (await import('./commands/key.ts')).key,
  },
  {
    name: 'did',
    summary: 'who acts for an account or a device, with proof',
    load: async () => (await import('./commands/did.ts')).did,
  },
  {
    name: 'device',
    summary: 'list, read, make, claim and enrol devices',
    load: async () => (await import('./commands/device.ts')).device,
  },
  {
    name: 'maker',
    summary: 'register as a maker, with models and a key for batches',
    load: async () => (await import('./commands/maker.ts')).maker,
  },
  {
    name: 'group',
    summary: 'groups and rooms of devices',
    load: async () => (await import('./commands/group.ts')).group,
  },
  {
    name: 'grant',
    summary: 'let someone else command a device',
    load: async () => (await import('./commands/grant.ts')).grant,
  },
  {
    name: 'revoke',
    summary: 'take a grant back',
    load: async () => (await import('./commands/grant.ts')).revoke,
  },
  {
    name: 'lamp',
    summary: 'switch a lamp on, off, or to a level',
    load: async () => (await import('./commands/lamp.ts')).lamp,
  },
  {
    name: 'replay',
    summary: 'send recorded readings and follow them to finality',
    load: async () => (await import('./commands/replay.ts')).replay,
  },
  {
    name: 'proof',
    summary: 'write the proof of a reading to a file',
    load: async () => (await import('./commands/proof.ts')).proof,
  },
  {
    name: 'verify',
    summary: 'check the proof of a reading, offline',
    load: async () => (await import('./commands/verify.ts')).verify,
  },
  {
    name: 'tx',
    summary: 'what became of something that was sent; transactions that several keys sign',
    load: async () => (await import('./commands/tx.ts')).tx,
  },
  {
    name: 'retention',
    summary: 'what is kept of the past, until when, and for which devices longer',
    load: async () => (await import('./commands/retention.ts')).retention,
  },
  {
    name: 'snapshot',
    summary: 'check the state of a subnet against the chain',
    load: async () => (await import('./commands/snapshot.ts')).snapshot,
  },
  {
    name: 'account',
    summary: 'what an account has, and a statement of what came and went',
    load: async () => (await import('./commands/account.ts')).account,
  },
  {
    name: 'history',
    summary: 'what happened to an account, a device, a subnet, or anything with an id',
    load: async () => (await import('./commands/history.ts')).history,
  },
  {
    name: 'transfer',
    summary: 'pay ITC to an account',
    load: async () => (await import('./commands/account.ts')).transfer,
  },
  {
    name: 'firmware',
    summary: 'release firmware, roll it out, halt it, prove it',
    load: async () => (await import('./commands/firmware.ts')).firmware,
  },
  {
    name: 'rent',
    summary: 'offer a device for rent, rent one, settle',
    load: async () => (await import('./commands/rent.ts')).rent,
  },
  {
    name: 'sponsor',
    summary: 'pay the fees of others, within budgets',
    load: async () => (await import('./commands/sponsor.ts')).sponsor,
  },
  {
    name: 'stream',
    summary: 'payments that go on by themselves',
    load: async () => (await import('./commands/stream.ts')).stream,
  },
  {
    name: 'parameters',
    summary: 'prices and shares in force, and votes about them',
    load: async () => (await import('./commands/parameters.ts')).parameters,
  },
  {
    name: 'subnet',
    summary: 'subnets: members by stake, value inside and between them',
    load: async () => (await import('./commands/subnet.ts')).subnet,
  },
  {
    name: 'validator',
    summary: 'who decides: list, bond, vote',
    load: async () => (await import('./commands/validator.ts')).validator,
  },
  {
    name: 'story',
    summary: 'a lamp’s whole life on a devnet, step by step',
    load: async () => (await import('./commands/story.ts')).story,
  },
  {
    name: 'node',
    summary: 'run one validator, gateway or member',
    load: async () => (await import('./commands/node.ts')).node,
  },
];
