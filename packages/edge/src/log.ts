/** Where the gateway and the SDK say what happened. A pino logger fits behind it; tests collect. */
export interface Log {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} };

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
