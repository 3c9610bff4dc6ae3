import type { VNode } from 'preact';
import { apiGet } from '../api.ts';
import { formatAbsolute, formatAmount, formatBytes, formatInteger } from '../format.ts';
import { useResource } from '../parts/resource.ts';
import { Card, Empty, Facts, Failure, Loading, Page } from '../parts/surface.tsx';
import { Ago, Badge, Id } from '../parts/text.tsx';
import { Icon } from '../parts/icon.tsx';
import { href } from '../route.ts';
import { status } from '../store.ts';
import type { Block } from '../wire.ts';
import { kindLabel, outcomeWords } from '../words.ts';
import { proposerName } from './explorer.tsx';

export function BlockPage({ height }: { readonly height: number }): VNode {
  const answer = useResource(`block/${height}`, (signal) => apiGet<Block>(`/blocks/${height}`, signal));
  const block = answer.value;
  const top = status.value?.finalisedHeight ?? height;
  return (
    <Page
      title={`Block ${formatInteger(height)}`}
      back={{ href: href.explorer, label: 'Blocks' }}
      lead={
        block === undefined ? undefined : (
          <span>
            Certified <Ago time={block.time} /> with {block.signers.length} signatures.
          </span>
        )
      }
      actions={
        <>
          <a class="button" href={href.block(Math.max(1, height - 1))} aria-disabled={height <= 1}>
            <Icon name="back" size={16} /> Older
          </a>
          <a class="button" href={href.block(height + 1)} aria-disabled={height >= top}>
            Newer <Icon name="arrow" size={16} />
          </a>
        </>
      }
    >
      {block === undefined ? (
        answer.error === undefined ? (
          <Card>
            <Loading lines={6} label="Loading the block" />
          </Card>
        ) : (
          <Failure error={answer.error} retry={answer.reload} />
        )
      ) : (
        <>
          <div class="columns">
            <Card title="Header">
              <Facts
                rows={[
                  ['Hash', <Id value={block.hash} label="block hash" />],
                  ['Time', formatAbsolute(block.time)],
                  ['Proposer', proposerName(block)],
                  ['View', formatInteger(block.view)],
                  ['Size', formatBytes(block.bytes)],
                  ...headerRows(block.header),
                ]}
              />
            </Card>
            <Certificate block={block} />
          </div>
          <Items block={block} />
        </>
      )}
    </Page>
  );
}

/** Roots and links of the header, whatever the node names them; what is shown above is left out. */
function headerRows(header: Block['header']): (readonly [string, VNode | string])[] {
  const shown = new Set(['height', 'time', 'proposer', 'view', 'hash', 'chain']);
  return Object.entries(header)
    .filter(([name, value]) => !shown.has(name) && (typeof value === 'string' || typeof value === 'number'))
    .slice(0, 12)
    .map(([name, value]) => {
      const label = name.replace(/([A-Z])/g, ' $1').toLowerCase();
      const title = label.charAt(0).toUpperCase() + label.slice(1);
      return [
        title,
        typeof value === 'string' && value.length > 20 ? <Id value={value} label={label} /> : String(value),
      ] as const;
    });
}

function Certificate({ block }: { readonly block: Block }): VNode {
  const validators = status.value?.validators ?? [];
  const weight = validators
    .filter((v) => block.certificate.signers.includes(v.index))
    .reduce((sum, v) => sum + v.weight, 0);
  const quorum = status.value?.quorum;
  return (
    <Card
      title="Certificate"
      aside={
        quorum === undefined ? null : (
          <span class="muted">{`${weight} of ${quorum.total} weight, ${quorum.strong} needed`}</span>
        )
      }
    >
      <ul class="signer-list">
        {(validators.length === 0
          ? block.certificate.signers.map((index) => ({ index, name: undefined, address: '' }))
          : validators
        ).map((validator) => {
          const at = block.certificate.signers.indexOf(validator.index);
          const signature = block.certificate.signatures[at];
          return (
            <li key={validator.index}>
              <Badge tone={at === -1 ? 'idle' : 'good'}>{at === -1 ? 'did not sign' : 'signed'}</Badge>
              <span>{validator.name ?? `validator ${validator.index}`}</span>
              {signature === undefined ? null : <Id value={signature} label="signature" />}
            </li>
          );
        })}
      </ul>
      <p class="muted">Signatures beyond the quorum may be left out; they are not needed for the proof.</p>
    </Card>
  );
}

function Items({ block }: { readonly block: Block }): VNode {
  return (
    <Card title="Transactions" aside={<span class="muted">{formatInteger(block.items.length)}</span>}>
      {block.items.length === 0 ? (
        <Empty icon="explorer" title="An empty block">
          It keeps the chain’s time when nothing happens.
        </Empty>
      ) : (
        <div class="scroll">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Transaction</th>
                <th scope="col">Kind</th>
                <th scope="col">Sender</th>
                <th scope="col">Outcome</th>
                <th scope="col" class="right">
                  Fee
                </th>
              </tr>
            </thead>
            <tbody>
              {block.items.map((item) => {
                const outcome = outcomeWords(item);
                return (
                  <tr key={item.id}>
                    <td>
                      <Id value={item.id} link={href.transaction(item.id)} label="transaction id" />
                    </td>
                    <td>{kindLabel(item.kind)}</td>
                    <td>
                      <Id value={item.sender} link={href.account(item.sender)} label="sender" />
                    </td>
                    <td>
                      <Badge tone={outcome.tone}>{outcome.text}</Badge>
                    </td>
                    <td class="right number">{formatAmount(item.fee)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}
