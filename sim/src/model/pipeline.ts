/**
 * The pipelining rule as an abstract machine, small enough to visit every reachable state (spec PBFT-4.4, PBFT-6.5).
 *
 * Four validators of weight 1: three correct ones, and a faulty one that is given every power at once. It leads all
 * views, signs every PREPARE and COMMIT anyone could want, shows any certificate that can exist in its VIEW-CHANGE or
 * hides it, and opens a view for each correct replica with another set if it likes. The network is a soup: what was
 * sent may arrive at any time or never. So correct replicas do not differ from one another, and a state is a multiset.
 *
 * A block is a number: genesis 1, its children 2b and 2b + 1, so that its ancestors are its shifts to the right.
 */

export interface Bounds {
  readonly heights: number;
  readonly views: number;
}

/** The rules of the replica, or one of them left out to see that the exploration would notice. */
export interface Variant {
  readonly name: string;
  readonly what: string;
  /** Correct voices that make a quorum together with the faulty one. */
  readonly quorum: number;
  /** P2: who prepares without the parent prepared or final. 'primary' = the leader's PRE-PREPARE counts as its PREPARE. */
  readonly unbound: 'nobody' | 'primary' | 'everyone';
  readonly reportsPrepared: boolean;
  readonly highestView: boolean;
}

export const RULE: Variant = {
  name: 'rule',
  what: 'the rule as it is',
  quorum: 2,
  unbound: 'nobody',
  reportsPrepared: true,
  highestView: true,
};

/** What is small enough to be explored to the end. */
export const EXHAUSTED: readonly Bounds[] = [
  { heights: 2, views: 3 },
  { heights: 3, views: 2 },
];

const SMALLEST: Bounds = { heights: 2, views: 2 };

export const BROKEN: readonly (Variant & { readonly shownBy: Bounds })[] = [
  {
    ...RULE,
    name: 'no-p2',
    what: 'P2 left out: PREPARE without the parent prepared',
    unbound: 'everyone',
    shownBy: SMALLEST,
  },
  {
    ...RULE,
    name: 'pre-prepare-votes',
    what: "the primary's PRE-PREPARE counts as its PREPARE",
    unbound: 'primary',
    shownBy: SMALLEST,
  },
  {
    ...RULE,
    name: 'hide-prepared',
    what: 'VIEW-CHANGE reports no prepared certificates',
    reportsPrepared: false,
    shownBy: SMALLEST,
  },
  {
    ...RULE,
    name: 'lowest-view',
    what: 'the prepared certificate of the lowest view is chosen',
    highestView: false,
    shownBy: { heights: 2, views: 3 },
  },
  { ...RULE, name: 'small-quorum', what: 'F + 1 decides instead of Q', quorum: 1, shownBy: SMALLEST },
];

export function variantOf(name: string): Variant {
  const variant = [RULE, ...BROKEN].find((candidate) => candidate.name === name);
  if (variant === undefined) throw new RangeError(`there is no variant ${name}`);
  return variant;
}

/** A correct replica: what it holds, and everything it ever sent. Blocks by height − 1; 0 = none. */
export interface Local {
  readonly view: number;
  readonly changing: boolean;
  /** Highest block with a commit certificate held; genesis at first. */
  readonly certified: number;
  /** What the NEW-VIEW of this view decided, per height. */
  readonly fixed: readonly number[];
  /** Prepared certificates above `certified`. */
  readonly prepared: readonly Held[];
  /** By view, then height: the block this replica sent PREPARE for, and whether COMMIT too. */
  readonly prepares: readonly (readonly number[])[];
  readonly commits: readonly (readonly boolean[])[];
  /** VIEW-CHANGE messages by view asked for. */
  readonly reports: readonly (Report | undefined)[];
}

export interface Held {
  readonly view: number;
  readonly block: number;
}

interface Report {
  readonly certified: number;
  readonly prepared: readonly Held[];
}

export type State = readonly Local[];

export interface Step {
  /** Told only for the steps of a trace. */
  readonly what: () => string;
  readonly next: State;
  /** What is wrong with the step itself, whatever the state after it. */
  readonly flaw?: string;
}

const NOTHING: Held = { view: -1, block: 0 };
const GENESIS = 1;

export function heightOf(block: number): number {
  return 31 - Math.clz32(block);
}

function isAncestor(a: number, b: number): boolean {
  const above = heightOf(b) - heightOf(a);
  return above >= 0 && b >> above === a;
}

export class Pipeline {
  readonly bounds: Bounds;
  readonly variant: Variant;

  constructor(bounds: Bounds, variant: Variant) {
    this.bounds = bounds;
    this.variant = variant;
  }

  /** The state in which everyone stands in view 0 and has prepared something at height 1. */
  starts(): State[] {
    const { heights, views } = this.bounds;
    const row = Array.from({ length: heights }, () => 0);
    const local: Local = {
      view: 0,
      changing: false,
      certified: GENESIS,
      fixed: row,
      prepared: row.map(() => NOTHING),
      prepares: Array.from({ length: views }, () => row),
      commits: Array.from({ length: views }, () => row.map(() => false)),
      reports: Array.from({ length: views }, () => undefined),
    };
    let states: State[] = [[local, local, local]];
    for (let self = 0; self < 3; self += 1)
      states = states.flatMap((state) =>
        this.#votes(state, self).map((changed) => put(state, self, changed)),
      );
    return states;
  }

  /**
   * Everything that can happen next. Only steps that can help the adversary are taken, and each as early or as late
   * as suits it best: a vote that may leave leaves at once, because votes bind nobody else and the more there are the
   * more certificates exist; a certificate is taken only when its holder can then vote for something, because what
   * a correct VIEW-CHANGE would report the faulty one can show as well; views are left one by one, and none is entered
   * without having asked for it, because a VIEW-CHANGE more only adds to the choice of sets.
   */
  *steps(state: State, certificates: Certificates): Generator<Step> {
    for (const [self, local] of state.entries()) {
      const name = `replica ${self}`;
      if (local.changing) {
        for (const decision of this.#decisions(state, local.view, certificates)) {
          const { base, list } = decision;
          const gap = list.find((block, index) => block >> 1 !== (list[index - 1] ?? base));
          if (gap !== undefined)
            yield {
              what: () => `${name} is shown a NEW-VIEW for view ${local.view}`,
              next: state,
              flaw: `contiguity: view ${local.view} can be opened with ${label(gap)} above ${label(list[list.indexOf(gap) - 1] ?? base)}`,
            };
          const what = (): string =>
            `${name} enters view ${local.view}, which begins above ${label(base)} with ${list.map(label).join(', ') || 'nothing'}`;
          yield* this.#voted(state, self, this.#enter(local, decision), what);
        }
      } else {
        for (let at = heightOf(local.certified) + 1; at <= this.bounds.heights; at += 1) {
          const taken = this.#take(state, self, at);
          if (taken === undefined) continue;
          const block = taken.prepared[at - 1]?.block;
          yield* this.#voted(
            state,
            self,
            taken,
            () => `${name} holds a prepared certificate of ${label(block)} in view ${local.view}`,
          );
        }
        for (const block of certificates.committed) {
          const at = heightOf(block);
          if (at <= heightOf(local.certified) || at >= this.bounds.heights) continue;
          yield* this.#voted(
            state,
            self,
            this.#learn(local, block),
            () => `${name} learns that ${label(block)} is final`,
          );
        }
      }
      if (local.view + 1 < this.bounds.views)
        yield {
          what: () => `${name} asks for view ${local.view + 1}`,
          next: put(state, self, this.#leave(local, local.view + 1)),
        };
    }
  }

  /** A step of one replica, and the votes it sends because of it. */
  *#voted(state: State, self: number, changed: Local, what: () => string): Generator<Step> {
    const before = state[self] as Local;
    const moved = put(state, self, changed);
    for (const local of this.#votes(moved, self))
      yield {
        what: () => {
          const sent = newVotes(before, local);
          return sent === '' ? what() : `${what()}; sends ${sent}`;
        },
        next: put(moved, self, local),
      };
  }

  /** What is broken in this state, if anything. */
  flaw(certificates: Certificates): string | undefined {
    const { committed } = certificates;
    for (const a of committed)
      for (const b of committed)
        if (!isAncestor(a, b) && !isAncestor(b, a))
          return `agreement: ${label(a)} and ${label(b)} are both final`;
    // What 4.4 is for: once a block is prepared, later views prepare nothing at the height below it but its parent.
    for (const high of certificates.prepared)
      for (const low of certificates.prepared)
        if (
          heightOf(low.block) === heightOf(high.block) - 1 &&
          low.view >= high.view &&
          low.block !== high.block >> 1
        )
          return `contiguity: ${label(high.block)} is prepared in view ${high.view}, and ${label(low.block)} below it in view ${low.view}`;
    return undefined;
  }

  /** One string for all states that differ in the names of replicas only, or in what can no longer matter. */
  key(state: State, { prepared, committed }: Certificates): string {
    const { views } = this.bounds;
    // Votes of a view that everyone has left count only where they make a certificate.
    const open = Array.from({ length: views }, (_, view) => state.some((local) => local.view <= view));
    const live = Array.from({ length: views }, (_, to) =>
      state.some((local) => local.view < to || (local.view === to && local.changing)),
    );
    const codes: number[] = [...committed, 0];
    for (const { view, block } of prepared) if (open[view] !== true) codes.push(view + 1, block);
    const parts = state.map((local) => encode(local, { open, live, final: committed }));
    // The primary of the variant is told by its index.
    if (this.variant.unbound !== 'primary') parts.sort();
    return `${String.fromCharCode(...codes)}|${parts.join('|')}`;
  }

  /** P2 and P3: the replica with every vote it may send now; several when the adversary may choose the block. */
  #votes(state: State, self: number): Local[] {
    let choices = [commitReady(state[self] as Local)];
    const first = choices[0] as Local;
    if (first.changing) return choices;
    for (let at = heightOf(first.certified) + 1; at <= this.bounds.heights; at += 1)
      choices = choices.flatMap((local) => {
        const blocks = this.#votable(state, local, self, at);
        return blocks.length === 0
          ? [local]
          : blocks.map((block) => ({
              ...local,
              prepares: withAt(
                local.prepares,
                local.view,
                withAt(local.prepares[local.view] ?? [], at - 1, block),
              ),
            }));
      });
    return choices;
  }

  #votable(state: State, local: Local, self: number, at: number): number[] {
    if (local.prepares[local.view]?.[at - 1] !== 0) return [];
    const parent = this.#parent(local, self, at);
    if (parent === undefined) return [];
    const fixed = local.fixed[at - 1] ?? 0;
    if (fixed !== 0) return fixed >> 1 === parent ? [fixed] : [];
    // Fresh proposals begin above what the NEW-VIEW decided.
    return local.fixed.slice(at).some((block) => block !== 0) ? [] : freshBlocks(state, local, parent);
  }

  /** P2, or P1 alone for whom P2 does not bind: the parent a block at this height must have. */
  #parent(local: Local, self: number, at: number): number | undefined {
    if (heightOf(local.certified) === at - 1) return local.certified;
    const held = local.prepared[at - 2];
    if (held?.view === local.view) return held.block;
    const { unbound } = this.variant;
    if (unbound === 'nobody' || (unbound === 'primary' && self !== local.view % 3)) return undefined;
    const accepted = local.prepares[local.view]?.[at - 2];
    return accepted === 0 ? undefined : accepted;
  }

  #take(state: State, self: number, at: number): Local | undefined {
    const local = state[self] as Local;
    const { view } = local;
    const block = local.prepares[view]?.[at - 1] ?? 0;
    if (block === 0 || local.prepared[at - 1]?.view === view) return undefined;
    if (this.#parent(local, self, at) !== block >> 1) return undefined;
    if (prepareCount(state, view, block) < this.variant.quorum) return undefined;
    // The highest one is good for a COMMIT only.
    if (at === this.bounds.heights && heightOf(local.certified) !== at - 1) return undefined;
    return { ...local, prepared: withAt(local.prepared, at - 1, { view, block }) };
  }

  #learn(local: Local, block: number): Local {
    const height = heightOf(block);
    return {
      ...local,
      certified: block,
      // What lies at or below the last final block is never reported again.
      prepared: local.prepared.map((held, index) => (index < height ? NOTHING : held)),
      fixed: local.fixed.map((fixed, index) => (index < height ? 0 : fixed)),
    };
  }

  #leave(local: Local, to: number): Local {
    const report: Report = {
      certified: local.certified,
      prepared: this.variant.reportsPrepared ? above(local) : [],
    };
    return {
      ...local,
      view: to,
      changing: true,
      fixed: local.fixed.map(() => 0),
      reports: withAt(local.reports, to, report),
    };
  }

  #enter(local: Local, { base, list }: Decision): Local {
    const fixed = local.fixed.map((_, index) => list[index - heightOf(base)] ?? 0);
    const entered: Local = { ...local, changing: false, fixed };
    return heightOf(base) > heightOf(local.certified) ? this.#learn(entered, base) : entered;
  }

  /** What the faulty primary can make of the VIEW-CHANGE messages for a view: every set, every word of its own. */
  #decisions(state: State, to: number, certificates: Certificates): Decision[] {
    const reports = state.flatMap((local) => local.reports[to] ?? []);
    if (reports.length < this.variant.quorum) return [];
    const found = new Map<string, Decision>();
    const own = this.#falseReports(to, certificates);
    for (const set of subsets(reports)) {
      // A correct voice more or less: the faulty one can say all that it says.
      if (set.length !== this.variant.quorum) continue;
      for (const report of own) {
        const decision = this.#decide([...set, report]);
        found.set(`${decision.base}/${decision.list.join(',')}`, decision);
      }
    }
    return [...found.values()];
  }

  /** Any certificate that can exist may be shown, or not; a forged one is skipped by everyone and shows nothing. */
  #falseReports(to: number, { prepared, committed }: Certificates): Report[] {
    let choices: Held[][] = [[]];
    for (let at = 1; at <= this.bounds.heights; at += 1) {
      const known = prepared.filter(({ block, view }) => heightOf(block) === at && view < to);
      choices = choices.flatMap((chosen) => [chosen, ...known.map((held) => [...chosen, held])]);
    }
    return [GENESIS, ...committed].flatMap((certified) =>
      choices.map((chosen) => ({ certified, prepared: chosen })),
    );
  }

  #decide(set: readonly Report[]): Decision {
    let base = GENESIS;
    const best = new Map<number, Held>();
    for (const { certified, prepared } of set) {
      if (heightOf(certified) > heightOf(base)) base = certified;
      for (const held of prepared) {
        const at = heightOf(held.block);
        const known = best.get(at);
        if (known === undefined || this.#better(held, known)) best.set(at, held);
      }
    }
    const list: number[] = [];
    for (let at = heightOf(base) + 1; ; at += 1) {
      const held = best.get(at);
      if (held === undefined) return { base, list };
      list.push(held.block);
    }
  }

  #better(a: Held, b: Held): boolean {
    if (a.view !== b.view) return this.variant.highestView ? a.view > b.view : a.view < b.view;
    return a.block < b.block;
  }

  /** Certificates that can exist: the faulty voice is always there. */
  certificates(state: State): Certificates {
    const prepared: Held[] = [];
    const committed: number[] = [];
    const { heights, views } = this.bounds;
    const { quorum } = this.variant;
    for (let view = 0; view < views; view += 1) {
      for (let at = 0; at < heights; at += 1) {
        for (const [self, local] of state.entries()) {
          const block = local.prepares[view]?.[at] ?? 0;
          if (block === 0) continue;
          let prepares = 0;
          let commits = 0;
          let first = self;
          for (const [index, other] of state.entries()) {
            if (other.prepares[view]?.[at] !== block) continue;
            first = Math.min(first, index);
            prepares += 1;
            if (other.commits[view]?.[at] === true) commits += 1;
          }
          // Each block once, where its first voter stands.
          if (first !== self || prepares < quorum) continue;
          prepared.push({ view, block });
          if (commits >= quorum && !committed.includes(block)) committed.push(block);
        }
      }
    }
    return { prepared, committed: committed.sort((x, y) => x - y) };
  }
}

interface Decision {
  readonly base: number;
  readonly list: readonly number[];
}

export interface Certificates {
  readonly prepared: readonly Held[];
  readonly committed: readonly number[];
}

function prepareCount(state: State, view: number, block: number): number {
  const index = heightOf(block) - 1;
  return state.filter((local) => local.prepares[view]?.[index] === block).length;
}

/** P3, at once: holding back a COMMIT one may send takes nothing from the adversary. */
function commitReady(local: Local): Local {
  const at = heightOf(local.certified) + 1;
  if (local.changing || local.prepared[at - 1]?.view !== local.view) return local;
  return {
    ...local,
    commits: withAt(local.commits, local.view, withAt(local.commits[local.view] ?? [], at - 1, true)),
  };
}

/** The certificates a VIEW-CHANGE reports: from the last final block upwards without a gap. */
function above(local: Local): Held[] {
  const held: Held[] = [];
  for (let at = heightOf(local.certified) + 1; ; at += 1) {
    const next = local.prepared[at - 1];
    if (next === undefined || next.block === 0) return held;
    held.push(next);
  }
}

/** Names of blocks mean nothing: the second child of a block appears only after the first. */
function freshBlocks(state: State, own: Local, parent: number): number[] {
  const [first, second] = [2 * parent, 2 * parent + 1];
  const used = [own, ...state].some(({ prepares }) => prepares.some((row) => row.includes(first)));
  return used ? [first, second] : [first];
}

function put(state: State, self: number, changed: Local): State {
  return state.map((local, index) => (index === self ? changed : local));
}

function newVotes(before: Local, after: Local): string {
  const sent: string[] = [];
  for (const [view, row] of after.prepares.entries())
    for (const [at, block] of row.entries()) {
      if (before.prepares[view]?.[at] !== block) sent.push(`PREPARE ${label(block)}`);
      if (before.commits[view]?.[at] !== after.commits[view]?.[at]) sent.push(`COMMIT ${label(block)}`);
    }
  return sent.join(' and ');
}

function* subsets<T>(items: readonly T[]): Generator<T[]> {
  for (let mask = 1; mask < 1 << items.length; mask += 1)
    yield items.filter((_, index) => (mask >> index) & 1);
}

function withAt<T>(items: readonly T[], index: number, item: T): T[] {
  const copy = [...items];
  copy[index] = item;
  return copy;
}

function encode(
  local: Local,
  known: {
    readonly open: readonly boolean[];
    readonly live: readonly boolean[];
    readonly final: readonly number[];
  },
): string {
  const codes = [local.view * 2 + (local.changing ? 1 : 0), local.certified];
  const voted = local.prepares[local.view];
  // What is fixed has done its part once it is voted for; the mark keeps fresh proposals above it.
  for (const [at, block] of local.fixed.entries()) codes.push(voted?.[at] === block ? 0 : block);
  const last = local.view + 1 === known.open.length;
  for (const { view, block } of local.prepared) {
    // Certificates of older views are held to be reported, and from the last view nobody reports.
    if (last && view !== local.view) codes.push(0);
    else codes.push(view + 1, block);
  }
  for (const [view, row] of local.prepares.entries()) {
    if (known.open[view] !== true) continue;
    for (const [at, block] of row.entries()) {
      const counts = local.commits[view]?.[at] === true && !known.final.includes(block);
      codes.push(block * 2 + (counts ? 1 : 0));
    }
  }
  for (const [to, report] of local.reports.entries()) {
    // A VIEW-CHANGE for a view everyone has entered or passed cannot be used any more.
    if (report === undefined || known.live[to] !== true) codes.push(0);
    else {
      codes.push(report.certified, report.prepared.length);
      for (const { view, block } of report.prepared) codes.push(view, block);
    }
  }
  return String.fromCharCode(...codes);
}

/** Genesis is g; below it a and b are the two blocks one may put on a block. */
export function label(block: number | undefined): string {
  if (block === undefined || block <= GENESIS) return 'genesis';
  return block.toString(2).slice(1).replaceAll('0', 'a').replaceAll('1', 'b');
}
