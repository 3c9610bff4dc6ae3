import type { VNode } from 'preact';
import { apiGet } from '../api.ts';
import { formatAbsolute, formatAmount, formatInteger } from '../format.ts';
import { Advice } from '../parts/advice.tsx';
import { useResource } from '../parts/resource.ts';
import { Card, Facts, Failure, Loading, Page } from '../parts/surface.tsx';
import { Badge, Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import type { Block, TransactionState } from '../wire.ts';
import { kindLabel } from '../words.ts';

export function TransactionPage({ id }: { readonly id: string }): VNode {
  const answer = useResource(
    `transaction/${id}`,
    (signal) => apiGet<TransactionState>(`/transactions/${encodeURIComponent(id)}`, signal),
    2_000,
  );
  const found = answer.value;
  // The node keeps sender and time with the block.
  const height = found?.height;
  const block = useResource(`transaction-block/${height ?? 0}`, async (signal) =>
    height === undefined ? undefined : await apiGet<Block>(`/blocks/${height}`, signal),
  ).value;
  const sender = found?.sender ?? block?.items.find((item) => item.id === id)?.sender;
  return (
    <Page
      title="Transaction"
      back={{ href: href.explorer, label: 'Blocks' }}
      lead={<Id value={id} label="transaction id" full />}
    >
      {found === undefined ? (
        answer.error === undefined ? (
          <Card>
            <Loading lines={5} label="Loading the transaction" />
          </Card>
        ) : (
          <Failure error={answer.error} retry={answer.reload} />
        )
      ) : (
        <Card
          title={found.kind === undefined ? 'Transaction' : kindLabel(found.kind)}
          aside={<State found={found} />}
        >
          <Facts
            rows={[
              ['Status', statusWords(found)],
              ...(sender === undefined
                ? []
                : [['Sender', <Id value={sender} link={href.account(sender)} label="sender" />] as const]),
              ...(block === undefined ? [] : [['Time', formatAbsolute(block.time)] as const]),
              ...(found.height === undefined
                ? []
                : [['Block', <a href={href.block(found.height)}>{formatInteger(found.height)}</a>] as const]),
              ...(found.index === undefined
                ? []
                : [
                    [
                      'Position',
                      block === undefined
                        ? formatInteger(found.index + 1)
                        : `${formatInteger(found.index + 1)} of ${formatInteger(block.items.length)}`,
                    ] as const,
                  ]),
              ...(found.receipt === undefined
                ? []
                : [
                    ['Fee', formatAmount(found.receipt.fee)] as const,
                    ...(found.receipt.ok
                      ? []
                      : [
                          [
                            'Refused because',
                            `${found.receipt.message ?? 'no reason given'} (${found.receipt.code ?? 'no code'})`,
                          ] as const,
                          ...(found.receipt.code === undefined
                            ? []
                            : [['What to do', <Advice key="advice" code={found.receipt.code} />] as const]),
                        ]),
                  ]),
            ]}
          />
        </Card>
      )}
    </Page>
  );
}

function State({ found }: { readonly found: TransactionState }): VNode {
  if (found.status === 'pending') return <Badge tone="warn">Pending</Badge>;
  if (found.status === 'unknown') return <Badge tone="idle">Unknown</Badge>;
  return found.receipt?.ok === false ? (
    <Badge tone="bad">Final, refused</Badge>
  ) : (
    <Badge tone="good">Final, done</Badge>
  );
}

function statusWords(found: TransactionState): string {
  switch (found.status) {
    case 'pending':
      return 'Waiting in the pool for a block.';
    case 'unknown':
      return 'This node has not seen it. It may have expired, or belong to another chain.';
    case 'final':
      return found.receipt?.ok === false
        ? 'In a certified block; the ledger refused it and changed nothing but the fee.'
        : 'In a certified block; it took effect.';
  }
}
