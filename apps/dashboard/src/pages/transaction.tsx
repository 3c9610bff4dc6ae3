import type { VNode } from 'preact';
import { apiGet } from '../api.ts';
import { formatAmount, formatInteger } from '../format.ts';
import { useResource } from '../parts/resource.ts';
import { Card, Facts, Failure, Loading, Page } from '../parts/surface.tsx';
import { Badge, Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import type { TransactionState } from '../wire.ts';
import { kindLabel } from '../words.ts';

export function TransactionPage({ id }: { readonly id: string }): VNode {
  const answer = useResource(
    `transaction/${id}`,
    (signal) => apiGet<TransactionState>(`/transactions/${encodeURIComponent(id)}`, signal),
    2_000,
  );
  const found = answer.value;
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
              ...(found.sender === undefined
                ? []
                : [
                    [
                      'Sender',
                      <Id value={found.sender} link={href.account(found.sender)} label="sender" />,
                    ] as const,
                  ]),
              ...(found.height === undefined
                ? []
                : [['Block', <a href={href.block(found.height)}>{formatInteger(found.height)}</a>] as const]),
              ...(found.index === undefined ? [] : [['Position', formatInteger(found.index)] as const]),
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
