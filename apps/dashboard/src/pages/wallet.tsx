import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { apiGet, ApiError } from '../api.ts';
import { formatAmount } from '../format.ts';
import {
  canUsePasskeys,
  findKnownPasskey,
  loadPasskey,
  makePasskey,
  parseTransfer,
  passkeyIdentity,
  sendFromPasskey,
} from '../identity-passkey.ts';
import { useResource } from '../parts/resource.ts';
import { Card, Empty, Facts, Failure, Page } from '../parts/surface.tsx';
import { Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import type { Account } from '../wire.ts';

export function WalletPage(): VNode {
  useEffect(() => void loadPasskey(), []);
  const who = passkeyIdentity.value;
  return (
    <Page
      title="Wallet"
      lead="An account behind a passkey: your device signs, and no secret is ever on this page."
    >
      {who === undefined ? <SignIn /> : <Holdings address={who.address} />}
      {who === undefined ? null : <Send />}
    </Page>
  );
}

/** What a button has begun: at most one thing at a time. */
function useTask(): {
  readonly busy: boolean;
  readonly error: Error | undefined;
  readonly run: (task: () => Promise<void>) => void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | undefined>(undefined);
  const run = (task: () => Promise<void>): void => {
    setBusy(true);
    setError(undefined);
    void task()
      .catch((failure: unknown) => setError(failure instanceof Error ? failure : new Error(String(failure))))
      .finally(() => setBusy(false));
  };
  return { busy, error, run };
}

function SignIn(): VNode {
  const { busy, error, run } = useTask();
  if (!canUsePasskeys) {
    return (
      <Card>
        <Empty icon="key" title="No passkeys at this address">
          A passkey belongs to a host name. Open this page over https, or on this machine as{' '}
          <a href={`http://localhost:${location.port}/#/wallet`}>localhost</a>.
        </Empty>
      </Card>
    );
  }
  return (
    <Card title="Sign in">
      <p class="muted">
        Your phone, your computer or a security key keeps the key and asks you before it signs. It works on
        this site only.
      </p>
      <div class="page-actions">
        <button type="button" class="button button-primary" disabled={busy} onClick={() => run(makePasskey)}>
          Make a passkey
        </button>
        <button type="button" class="button" disabled={busy} onClick={() => run(findKnownPasskey)}>
          Use one I have
        </button>
      </div>
      {error === undefined ? null : <Failure error={error} />}
    </Card>
  );
}

function Holdings({ address }: { readonly address: string }): VNode {
  const answer = useResource(
    `account/${address}`,
    (signal) => apiGet<Account>(`/accounts/${encodeURIComponent(address)}`, signal),
    2_000,
  );
  const isNew = answer.error instanceof ApiError && answer.error.status === 404;
  const balance = answer.value?.balance ?? (isNew ? '0' : undefined);
  return (
    <Card title="Account">
      <Facts
        rows={[
          ['Address', <Id value={address} label="address" full />],
          ['Balance', <span class="number big">{balance === undefined ? '…' : formatAmount(balance)}</span>],
        ]}
      />
      {answer.error === undefined || isNew ? null : <Failure error={answer.error} retry={answer.reload} />}
    </Card>
  );
}

function Send(): VNode {
  const { busy, error, run } = useTask();
  const [to, setTo] = useState('');
  const [value, setValue] = useState('');
  const [sent, setSent] = useState<string | undefined>(undefined);
  const send = async (): Promise<void> => {
    setSent(undefined);
    const wish = parseTransfer(to, value);
    if (typeof wish === 'string') throw new Error(wish);
    setSent(await sendFromPasskey(wish.to, wish.amount));
  };
  return (
    <Card title="Send">
      <form
        class="wallet-send"
        onSubmit={(event) => {
          event.preventDefault();
          run(send);
        }}
      >
        <label>
          Receiver
          <input
            name="to"
            value={to}
            placeholder="itc1…"
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setTo(event.currentTarget.value)}
          />
        </label>
        <label>
          ITC
          <input
            name="amount"
            value={value}
            inputMode="decimal"
            autocomplete="off"
            onInput={(event) => setValue(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button button-primary" disabled={busy}>
          {busy ? 'Waiting…' : 'Sign and send'}
        </button>
      </form>
      {error === undefined ? null : <Failure error={error} />}
      {sent === undefined ? null : (
        <p class="wallet-sent" role="status">
          Final: <a href={href.transaction(sent)}>{sent.slice(0, 16)}…</a>
        </p>
      )}
    </Card>
  );
}
