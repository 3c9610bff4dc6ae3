/** The attacks a bench can be run under: what each one does, by name. See docs/guide/bench.md. */

/** Behaviour of one of the four validators. */
export type ValidatorAttack =
  | 'slow-primary'
  | 'lazy-primary'
  | 'censor'
  | 'invalid-blocks'
  | 'junk-blocks'
  | 'equivocate'
  | 'vote-flood';

/** Behaviour of somebody outside. */
type ClientAttack = 'bad-signatures';

export interface AttackPlan {
  readonly name: ValidatorAttack | ClientAttack;
  readonly summary: string;
  readonly by: 'validator' | 'client';
}

export const ATTACKS: readonly AttackPlan[] = [
  {
    name: 'slow-primary',
    summary: 'a validator holds back each of its proposals for 95 % of the view timeout',
    by: 'validator',
  },
  {
    name: 'lazy-primary',
    summary: 'a validator holds back each of its proposals for 24 % of the view timeout',
    by: 'validator',
  },
  {
    name: 'censor',
    summary: 'a validator leaves the transactions of one sender out of its blocks',
    by: 'validator',
  },
  {
    name: 'invalid-blocks',
    summary: 'a validator proposes blocks with a wrong state root or a bad signature',
    by: 'validator',
  },
  {
    name: 'junk-blocks',
    summary: 'a validator fills its blocks with transactions that are never due',
    by: 'validator',
  },
  {
    name: 'equivocate',
    summary: 'a validator shows every other one a block of its own',
    by: 'validator',
  },
  {
    name: 'vote-flood',
    summary: 'a validator repeats its votes and status to all others as fast as it can',
    by: 'validator',
  },
  {
    name: 'bad-signatures',
    summary:
      'clients at another address send all validators as many badly signed transactions as honest ones come',
    by: 'client',
  },
];

export function attackNamed(name: string): AttackPlan | undefined {
  return ATTACKS.find((attack) => attack.name === name);
}

export function isValidatorAttack(name: string): name is ValidatorAttack {
  return attackNamed(name)?.by === 'validator';
}
