/** `itc subnet`: subnets, their members by stake, and value inside them. */
import { type Command, runVerb, type Verb } from '../terminal/command.ts';
import { accuse, admit, collect, create, join, leave, list, show } from './subnet-members.ts';
import { level } from './subnet-level.ts';
import { balance, deposit, move, pay, voucher, withdraw } from './subnet-value.ts';

const VERBS: Readonly<Record<string, Verb>> = {
  list,
  show,
  create,
  join,
  leave,
  admit,
  collect,
  accuse,
  deposit,
  pay,
  balance,
  withdraw,
  move,
  voucher,
  level,
};

export const subnet: Command = {
  name: 'subnet',
  help: `itc subnet list
itc subnet show SUBNET
itc subnet create NAME --members KEYS [--stake ITC] [--invitation]     members by stake, the sender's
itc subnet join SUBNET ITC --member KEY [--wait]                       a candidate, or more stake
itc subnet leave SUBNET [ITC] --member KEY [--wait]                    asks stake back, all of it without an amount
itc subnet admit SUBNET CANDIDATE --member KEY                         by invitation: the vote of a member
itc subnet collect SUBNET MEMBER                                       due stake of a subnet that stands still
itc subnet accuse SUBNET                                               what the node holds against members
itc subnet deposit SUBNET ITC [--to ADDRESS]                           from the main chain
itc subnet pay SUBNET TO ITC [--level 0-3]                             inside, without a fee
itc subnet balance SUBNET [ADDRESS]                                    with its proof checked, and what waits outside
itc subnet withdraw SUBNET ITC [--to ADDRESS]                          to the main chain
itc subnet withdraw SUBNET --fetch                                     what was let out and never fetched
itc subnet move FROM TO [ITC] [--holder KEY]                           from one subnet to another, all without an amount
itc subnet voucher set-aside SUBNET ITC [--payee ADDRESS] [--lane N] [--for TIME]
itc subnet voucher write SUBNET TO ITC [--number N] [--lane N]         a text to hand over, offline
itc subnet voucher read|cash SUBNET TEXT
itc subnet voucher release SUBNET [--lane N]                           what is left, after its time
itc subnet level DEVICE [0-3|any]                                      how sure its payloads have to be, for all who wait

SUBNET is a name or an id. Orders wait until they are final; --level stops sooner: 0 seen, 1 most stake and work, 2 two
thirds of the stake, 3 final. Below 3 it is open whether they are covered. See docs/guide/subnets.md.

Options:
  --key NAME         whose account or balance (default owner)
  --member NAME      key of the member's process; made when it is not there
  --members NAMES    of the first members, with commas between
  --stake ITC        for each of them (default 1000, what a validator of a devnet bonds)
  --stake-min ITC    least stake of a member (default: --stake)
  --per-weight ITC   stake behind a unit of weight (default 1)
  --delay BLOCKS     until stake that was asked back returns (default 86400)
  --pow-bits N       base bits of work (default 0)
  --invitation       members with two thirds of the stake vote on who joins
  --wait             until the turn has come
  --to, --payee      an address, or the name of a key
  --holder NAME      whose balance moves, when not --key's
  --level N          security level to wait for, 0 to 3 (default: what the device asks for, else 3)
  --lane N           voucher lane, 0 to 7 (default 0)
  --number N         of the voucher, once in its lane (default 1)
  --for TIME         90s, 30m, 12h, 7d: how long an order or lane is good
  --sequence N       number of the order (default: the clock)
  --timeout SECONDS  how long is waited (default 120)

Example:
  itc subnet deposit home 5
  itc subnet pay home alice 0.25 --level 2
  itc subnet move home home-2`,
  options: {
    key: { type: 'string' },
    member: { type: 'string' },
    members: { type: 'string' },
    stake: { type: 'string' },
    'stake-min': { type: 'string' },
    'per-weight': { type: 'string' },
    delay: { type: 'string' },
    'pow-bits': { type: 'string' },
    invitation: { type: 'boolean' },
    wait: { type: 'boolean' },
    to: { type: 'string' },
    payee: { type: 'string' },
    holder: { type: 'string' },
    level: { type: 'string' },
    lane: { type: 'string' },
    number: { type: 'string' },
    for: { type: 'string' },
    sequence: { type: 'string' },
    timeout: { type: 'string' },
    fetch: { type: 'boolean' },
  },
  run: (call) => runVerb(call, VERBS),
};
