/**
 * MQTT broker for 3.1.1 and 5 (spec EDGE-1): listens, keeps sessions, routes. Who may do what, and what a
 * publish means, is given from outside; without that it lets nobody in.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { EDGE_LIMITS } from '../../limits.ts';
import { reasonOf, type Log } from '../../log.ts';
import { Connection, type ConnectionHost, type Will } from './connection.ts';
import type { Access, Principal } from './login.ts';
import type { Message, MessageProperties, QoS } from './message.ts';
import type { Publish, PublishHandler } from './publish.ts';
import { MqttFault, REASON } from './reason.ts';
import { Session, type Subscription } from './session.ts';
import { isTopicName, matchesTopic, TopicTree } from './topic.ts';

export interface BrokerOptions<P extends Principal> {
  readonly host: string;
  /** 0: any free port; `start` tells. */
  readonly port: number;
  readonly access: Access<P>;
  readonly onPublish: PublishHandler<P>;
  readonly onEvent?: (event: BrokerEvent<P>) => void;
  /** Milliseconds; only differences and expiry count. */
  readonly now: () => number;
  readonly log: Log;
}

export type BrokerEvent<P extends Principal> =
  | { readonly kind: 'connected'; readonly principal: P; readonly clientId: string }
  | { readonly kind: 'disconnected'; readonly principal: P; readonly clientId: string }
  | {
      readonly kind: 'subscribed';
      readonly principal: P;
      readonly clientId: string;
      readonly filter: string;
    };

export interface ServerMessage {
  readonly topic: string;
  readonly payload: Uint8Array | string;
  readonly qos: QoS;
  readonly retain?: boolean;
  readonly expirySeconds?: number;
  readonly properties?: MessageProperties;
}

const TICK_MS = 1_000;

export class MqttBroker<P extends Principal> {
  readonly #o: BrokerOptions<P>;
  readonly #server: Server;
  readonly #connections: Set<Connection<P>> = new Set();
  readonly #bySession: Map<string, Connection<P>> = new Map();
  readonly #sessions: Map<string, Session<P>> = new Map();
  readonly #subscriptions: TopicTree<Subscription> = new TopicTree();
  readonly #retained: Map<string, Message> = new Map();
  /** Wills that wait for their delay, by session. */
  readonly #wills: Map<string, { readonly will: Will; readonly session: Session<P>; readonly due: number }> =
    new Map();
  readonly #host: ConnectionHost<P>;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BrokerOptions<P>) {
    this.#o = options;
    this.#host = this.#hostOf(options);
    this.#server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket));
  }

  async start(): Promise<{ port: number }> {
    const { host, port } = this.#o;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const taken = cause.code === 'EADDRINUSE';
        reject(
          new LedgerError(
            taken ? 'port.taken' : 'config.invalid',
            `MQTT cannot listen on ${host}:${port}`,
            { host, port },
            cause,
          ),
        );
      });
      this.#server.listen({ host, port }, resolve);
    });
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
    return { port: (this.#server.address() as AddressInfo).port };
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections)
      connection.fail(new MqttFault(REASON.serverShuttingDown, 'the gateway stops'));
    await closed;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** From the server itself, past every access rule. Returns how many sessions it went to. */
  publish(message: ServerMessage): number {
    const { topic, payload, qos, retain, expirySeconds, properties } = message;
    return this.#distribute(
      {
        topic,
        payload: Buffer.from(payload as Uint8Array),
        qos,
        retain: retain ?? false,
        properties: properties ?? {},
        ...(expirySeconds === undefined ? {} : { expiresAt: this.#o.now() + expirySeconds * 1000 }),
      },
      undefined,
    );
  }

  /** Ends every connection and session of a principal, because its access has ended. */
  evict(principal: string, reason: string): void {
    for (const session of this.#sessions.values()) {
      if (session.principal.id !== principal) continue;
      session.expirySeconds = 0;
      this.#bySession.get(session.key)?.fail(new MqttFault(REASON.administrativeAction, reason));
      this.#endSession(session);
    }
  }

  /** Keep-alives, expired sessions, wills whose delay is over. Runs by itself once a second; public for tests with a clock. */
  tick(): void {
    const now = this.#o.now();
    for (const connection of this.#connections) connection.tick(now);
    for (const session of this.#sessions.values())
      if (session.expiresAt !== undefined && session.expiresAt <= now) this.#endSession(session);
    for (const [key, waiting] of this.#wills) if (waiting.due <= now) this.#publishWill(key);
  }

  #accept(socket: Socket): void {
    const strangers = [...this.#connections].filter((connection) => connection.stranger).length;
    if (this.#connections.size >= EDGE_LIMITS.connectionsMax || strangers >= EDGE_LIMITS.strangersMax) {
      this.#o.log.warn('mqtt: too many connections', { connections: this.#connections.size, strangers });
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const connection = new Connection<P>(socket, this.#host);
    this.#connections.add(connection);
    connection.start();
  }

  #hostOf(o: BrokerOptions<P>): ConnectionHost<P> {
    return {
      access: o.access,
      handle: o.onPublish,
      log: o.log,
      now: o.now,
      newClientId: () => `itc-${randomBytes(8).toString('hex')}`,
      open: (connection, asked) => this.#openSession(connection, asked),
      closed: (connection, had) => this.#onClosed(connection, had),
      route: (publish, expiresAt) => this.#route(publish, expiresAt),
      subscribe: (session, subscription) => {
        const fresh = !session.subscriptions.has(subscription.filter);
        session.subscriptions.set(subscription.filter, subscription);
        this.#subscriptions.set(subscription.filter, session.key, subscription);
        return { fresh };
      },
      unsubscribe: (session, filter) =>
        session.subscriptions.delete(filter) && this.#subscriptions.delete(filter, session.key),
      sendRetained: (session, subscription) => this.#sendRetained(session, subscription),
      subscribed: (session, filter) => this.#emit('subscribed', session, filter),
    };
  }

  #openSession(
    connection: Connection<P>,
    asked: { clientId: string; principal: P; clean: boolean; expirySeconds: number },
  ): { session: Session<P>; present: boolean } | undefined {
    const { clientId, principal } = asked;
    const key = `${principal.id}\n${clientId}`;
    // A client that comes back before its old connection is noticed to be dead takes it over (§3.1.4).
    this.#bySession.get(key)?.fail(new MqttFault(REASON.sessionTakenOver, 'the same client connected again'));
    const before = this.#sessions.get(key);
    const resumed = before !== undefined && !asked.clean && (before.expiresAt ?? Infinity) > this.#o.now();
    if (before !== undefined && !resumed) this.#endSession(before);
    if (resumed) this.#wills.delete(key);
    if (!resumed && this.#sessions.size >= EDGE_LIMITS.sessionsMax) return undefined;
    const session = resumed ? before : new Session<P>({ key, clientId, principal, now: this.#o.now });
    session.expirySeconds = asked.expirySeconds;
    this.#sessions.set(key, session);
    this.#bySession.set(key, connection);
    this.#emit('connected', session);
    return { session, present: resumed };
  }

  #onClosed(
    connection: Connection<P>,
    had: { session: Session<P> | undefined; will: Will | undefined },
  ): void {
    this.#connections.delete(connection);
    const { session, will } = had;
    if (session === undefined) return;
    if (this.#bySession.get(session.key) === connection) this.#bySession.delete(session.key);
    session.detach();
    if (will !== undefined) {
      const delayMs = Math.min(will.delayMs, session.expirySeconds * 1000);
      if (this.#wills.size >= EDGE_LIMITS.willsMax)
        this.#o.log.warn('mqtt: too many wills wait; one is dropped');
      else this.#wills.set(session.key, { will, session, due: this.#o.now() + delayMs });
      if (delayMs === 0) this.#publishWill(session.key);
    }
    this.#emit('disconnected', session);
    if (session.expirySeconds === 0) this.#endSession(session);
  }

  #endSession(session: Session<P>): void {
    if (this.#sessions.get(session.key) !== session) return;
    this.#publishWill(session.key);
    for (const filter of session.subscriptions.keys()) this.#subscriptions.delete(filter, session.key);
    this.#sessions.delete(session.key);
  }

  /** A will is a publish like any other of its client: it passes the same handler. */
  #publishWill(key: string): void {
    const waiting = this.#wills.get(key);
    if (waiting === undefined) return;
    this.#wills.delete(key);
    const { will, session } = waiting;
    const { topic, payload, qos, retain, properties, expiresAt } = will.message;
    const publish: Publish<P> = {
      principal: session.principal,
      clientId: session.clientId,
      version: 5,
      topic,
      payload,
      qos,
      retain,
      dup: false,
      properties,
    };
    void (async () => {
      try {
        const result = await this.#o.onPublish(publish);
        if (result.route) this.#route(publish, expiresAt);
      } catch (error) {
        this.#o.log.error('mqtt: a will was not handled', { reason: reasonOf(error) });
      }
    })();
  }

  #route(publish: Publish<P>, expiresAt: number | undefined): void {
    const { topic, payload, qos, retain, properties } = publish;
    const message: Message = {
      topic,
      payload: Buffer.from(payload),
      qos,
      retain,
      properties,
      ...(expiresAt === undefined ? {} : { expiresAt }),
    };
    this.#distribute(message, `${publish.principal.id}\n${publish.clientId}`);
  }

  /** To every session with a matching filter, once, at the highest QoS of its filters (§3.3.4). */
  #distribute(message: Message, origin: string | undefined): number {
    if (!isTopicName(message.topic)) throw new RangeError('not a topic name');
    if (message.retain) this.#retain(message);
    const matches = new Map<string, Subscription[]>();
    this.#subscriptions.match(message.topic, (owner, subscription) => {
      if (subscription.noLocal && owner === origin) return;
      const found = matches.get(owner);
      if (found === undefined) matches.set(owner, [subscription]);
      else found.push(subscription);
    });
    for (const [owner, found] of matches) {
      this.#sessions.get(owner)?.deliver({
        message,
        qos: Math.min(message.qos, Math.max(...found.map((subscription) => subscription.qos))) as QoS,
        retain: message.retain && found.some((subscription) => subscription.retainAsPublished),
        identifiers: found.flatMap(({ identifier }) => (identifier === undefined ? [] : [identifier])),
      });
    }
    return matches.size;
  }

  #retain(message: Message): void {
    if (message.payload.length === 0) this.#retained.delete(message.topic);
    else if (this.#retained.has(message.topic) || this.#retained.size < EDGE_LIMITS.retainedMax)
      this.#retained.set(message.topic, message);
    else this.#o.log.warn('mqtt: too many retained messages; one is not kept', { topic: message.topic });
  }

  #sendRetained(session: Session<P>, subscription: Subscription): void {
    const { filter, qos, identifier } = subscription;
    const exact = this.#retained.get(filter);
    const candidates = /[+#]/.test(filter) ? this.#retained.values() : exact === undefined ? [] : [exact];
    const now = this.#o.now();
    for (const message of candidates) {
      if ((message.expiresAt ?? Infinity) <= now) {
        this.#retained.delete(message.topic);
        continue;
      }
      if (!matchesTopic(filter, message.topic)) continue;
      session.deliver({
        message,
        qos: Math.min(message.qos, qos) as QoS,
        retain: true,
        identifiers: identifier === undefined ? [] : [identifier],
      });
    }
  }

  #emit(kind: BrokerEvent<P>['kind'], session: Session<P>, filter?: string): void {
    const { principal, clientId } = session;
    this.#o.onEvent?.(
      kind === 'subscribed'
        ? { kind, principal, clientId, filter: filter ?? '' }
        : { kind, principal, clientId },
    );
  }
}
