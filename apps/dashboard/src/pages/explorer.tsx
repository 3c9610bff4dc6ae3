import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { apiGet } from '../api.ts';
import { formatBytes, formatInteger, shorten } from '../format.ts';
import { Card, Empty, Failure, Loading, Page } from '../parts/surface.tsx';
import { Ago, Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import { blocks, connection, status } from '../store.ts';
import type { BlockSummary } from '../wire.ts';

const FIRST_PAGE = 30;

export function ExplorerPage(): VNode {
  const [older, setOlder] = useState<readonly BlockSummary[]>([]);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Error | undefined>(undefined);
  const fresh = blocks.value.slice(0, FIRST_PAGE);
  // What scrolls out of the live part at the top joins the older part below, without a gap or a repeat.
  const floor = older[0]?.height ?? 0;
  const bridge =
    older.length === 0 ? [] : blocks.value.slice(FIRST_PAGE).filter((block) => block.height > floor);
  const seen = new Set([...fresh, ...bridge].map((block) => block.height));
  const list = [...fresh, ...bridge, ...older.filter((block) => !seen.has(block.height))];
  const lowest = list[list.length - 1]?.height;
  const more = async (): Promise<void> => {
    if (lowest === undefined) return;
    setBusy(true);
    setFailure(undefined);
    try {
      const answer = await apiGet<{ blocks: BlockSummary[] }>(`/blocks?limit=50&before=${lowest}`);
      setOlder((old) => [...old, ...answer.blocks].slice(0, 2000));
    } catch (error) {
      setFailure(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setBusy(false);
    }
  };
  const validators = status.value?.validators.length;
  return (
    <Page
      title="Explorer"
      lead="Every block that the validators certified. Search by height, transaction, payload, address or device name."
    >
      <Card
        title="Blocks"
        aside={
          <span class="muted">
            {status.value === undefined
              ? ''
              : `${formatInteger(status.value.transactions)} transactions in all`}
          </span>
        }
      >
        {list.length === 0 ? (
          connection.value.kind === 'connecting' || status.value === undefined ? (
            <Loading lines={8} label="Loading the blocks" />
          ) : (
            <Empty icon="explorer" title="No block yet">
              Blocks appear when there is something to agree on.
            </Empty>
          )
        ) : (
          <>
            <div class="scroll">
              <table class="table">
                <thead>
                  <tr>
                    <th scope="col">Height</th>
                    <th scope="col">Age</th>
                    <th scope="col" class="right">
                      Transactions
                    </th>
                    <th scope="col" class="wide">
                      Proposer
                    </th>
                    <th scope="col">Signers</th>
                    <th scope="col" class="right wide">
                      Size
                    </th>
                    <th scope="col" class="wide">
                      Hash
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {list.map((block) => (
                    <tr key={block.height}>
                      <td>
                        <a href={href.block(block.height)}>{formatInteger(block.height)}</a>
                      </td>
                      <td class="muted">
                        <Ago time={block.time} />
                      </td>
                      <td class="right">{formatInteger(block.transactions)}</td>
                      <td class="wide">{proposerName(block)}</td>
                      <td>
                        {block.signers.length}
                        {validators === undefined ? '' : ` of ${validators}`}
                      </td>
                      <td class="right wide">{formatBytes(block.bytes)}</td>
                      <td class="wide">
                        <Id value={block.hash} link={href.block(block.height)} label="block hash" />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            {failure === undefined ? null : <Failure error={failure} retry={() => void more()} />}
            {lowest === undefined || lowest <= 1 ? null : (
              <button type="button" class="button more" disabled={busy} onClick={() => void more()}>
                {busy ? 'Loading' : 'Older blocks'}
              </button>
            )}
          </>
        )}
      </Card>
    </Page>
  );
}

/** The primary of the view proposes: where a node does not name the proposer, it is view mod n. */
export function proposerName(block: Pick<BlockSummary, 'proposer' | 'view'>): string {
  const validators = status.value?.validators ?? [];
  const primary =
    block.proposer === undefined
      ? validators.find((validator) => validator.index === block.view % validators.length)
      : validators.find((validator) => validator.address === block.proposer);
  return (
    primary?.name ??
    (primary === undefined ? shorten(block.proposer ?? 'unknown') : `validator ${primary.index}`)
  );
}
