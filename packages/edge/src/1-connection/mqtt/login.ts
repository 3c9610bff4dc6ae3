/** How the broker asks who a client is. What it asks for is the gateway's business. */
import type { ReasonCode } from './reason.ts';
import type { Version } from './codec.ts';

export interface Login {
  readonly version: Version;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: Uint8Array;
  /** MQTT 5 enhanced authentication (§4.12). */
  readonly method?: string;
  readonly data?: Uint8Array;
  readonly remote: string;
}

export type LoginStep<P extends Principal> =
  | { readonly kind: 'accept'; readonly principal: P }
  | { readonly kind: 'refuse'; readonly code: ReasonCode; readonly reason: string }
  | {
      readonly kind: 'continue';
      readonly data: Uint8Array;
      readonly next: LoginNext<P>;
    };

/** Answers what the client sent in its AUTH. */
export type LoginNext<P extends Principal> = (data: Uint8Array) => LoginStep<P> | Promise<LoginStep<P>>;

/** Who a client is. Sessions belong to it: the same client id of another principal is another session. */
export interface Principal {
  readonly id: string;
}

export interface Access<P extends Principal> {
  login(login: Login): LoginStep<P> | Promise<LoginStep<P>>;
  mayPublish(principal: P, topic: string): boolean;
  maySubscribe(principal: P, filter: string): boolean;
}
