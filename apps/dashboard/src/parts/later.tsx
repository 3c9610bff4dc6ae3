import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Card, Failure, Loading } from './surface.tsx';

/** A page whose code is loaded when it is opened. */
export function Later({ load }: { readonly load: () => Promise<() => VNode> }): VNode {
  const [page, setPage] = useState<{ readonly Page: () => VNode } | undefined>(undefined);
  const [error, setError] = useState<Error | undefined>(undefined);
  useEffect(() => {
    load().then(
      (Page) => setPage({ Page }),
      (failure: unknown) => setError(failure instanceof Error ? failure : new Error(String(failure))),
    );
  }, [load]);
  if (page !== undefined) return <page.Page />;
  return (
    <Card>{error === undefined ? <Loading label="Loading the page" /> : <Failure error={error} />}</Card>
  );
}
