/** What a run of the subnets' simulator may be told, and what its seed draws besides. */
import type { FaultPlan } from '../faults.ts';
import { Random } from '../random.ts';
import type { Lie } from './liar.ts';
import type { ChainSabotage } from './main-chain.ts';
import type { Sabotage } from './node-options.ts';

export interface DagOptions {
  readonly sabotage?: Sabotage | undefined;
  /** Replaces what the seed draws. */
  readonly faults?: Partial<FaultPlan> | undefined;
  readonly members?: number | undefined;
  readonly byzantine?: number | undefined;
  readonly lies?: readonly Lie[] | undefined;
  readonly durationMs?: number | undefined;
  readonly cadenceMs?: number | undefined;
  /** Whether the main chain is out of reach now and then; the rule. */
  readonly mainChainCuts?: boolean | undefined;
  /** Whether liars get single members to themselves; drawn without it. */
  readonly eclipse?: boolean | undefined;
  /** Whether members come and go by stake, and so many nodes beside the first members; drawn without it. */
  readonly candidates?: number | undefined;
  /** Whether value moves inside; drawn without it. */
  readonly value?: boolean | undefined;
  /** Whether a member loses its disk; drawn without it, where members come and go. */
  readonly wipe?: boolean | undefined;
  readonly chainSabotage?: ChainSabotage | undefined;
  /** Without a step forward for so long a member that is behind takes a snapshot; drawn without it. */
  readonly stuckMs?: number | undefined;
}

export interface Extras {
  readonly candidates: number;
  readonly value: boolean;
  readonly wipe: boolean;
  readonly stuckMs: number;
  readonly random: Random;
}

/** What a run holds beside devices that send, drawn apart so that it shifts nothing else. */
export function drawExtras(seed: number, options: DagOptions): Extras {
  const random = new Random(seed * 64 + 63);
  const candidates = random.chance(0.3) ? random.between(1, 3) : 0;
  const value = random.chance(0.4);
  const wipe = random.chance(0.25);
  return {
    candidates: options.candidates ?? candidates,
    value: options.value ?? value,
    wipe: options.wipe ?? (candidates > 0 && wipe),
    stuckMs: random.pick([8_000, 8_000, 700]),
    random,
  };
}
