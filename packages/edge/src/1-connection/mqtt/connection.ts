/**
 * One client's connection: bytes in, packets out, from CONNECT to the end (MQTT 5.0 §3, §4.12, §4.13).
 * Whatever a client sends, the worst that follows is the end of its own connection, with the reason where the version can tell it.
 */
import type { Socket } from 'node:net';
import { EDGE_LIMITS } from '../../limits.ts';
import { reasonOf, type Log } from '../../log.ts';
import {
  encodePacket,
  PacketDecoder,
  type IAuthPacket,
  type IConnectPacket,
  type IDisconnectPacket,
  type ISubscribePacket,
  type IUnsubscribePacket,
  type Packet,
  type Version,
} from './codec.ts';
import { FrameReader } from './frame.ts';
import { Inbound } from './inbound.ts';
import type { Access, LoginNext, LoginStep, Principal } from './login.ts';
import type { Publish, PublishHandler } from './publish.ts';
import { connackCodeOf, isFailure, MqttFault, REASON, type ReasonCode } from './reason.ts';
import type { Outlet, Session, Subscription } from './session.ts';
import { isTopicFilter, isTopicName } from './topic.ts';
import { Throttle } from './throttle.ts';
import { expiryOf, ownBytes, passedThrough, type Message, type QoS } from './message.ts';

export interface Will {
  readonly message: Message;
  readonly delayMs: number;
}

/** What a connection needs of its broker. */
export interface ConnectionHost<P extends Principal> {
  readonly access: Access<P>;
  readonly handle: PublishHandler<P>;
  readonly log: Log;
  now(): number;
  newClientId(): string;
  /** Takes over or makes the session; undefined when there are too many. */
  open(
    connection: Connection<P>,
    o: { clientId: string; principal: P; clean: boolean; expirySeconds: number },
  ): { session: Session<P>; present: boolean } | undefined;
  /** Exactly once per connection. */
  closed(connection: Connection<P>, o: { session: Session<P> | undefined; will: Will | undefined }): void;
  route(publish: Publish<P>, expiresAt: number | undefined): void;
  subscribe(session: Session<P>, subscription: Subscription): { fresh: boolean };
  unsubscribe(session: Session<P>, filter: string): boolean;
  sendRetained(session: Session<P>, subscription: Subscription): void;
  subscribed(session: Session<P>, filter: string): void;
}

type State<P extends Principal> =
  | { readonly kind: 'waiting' }
  | {
      readonly kind: 'login';
      readonly connect: IConnectPacket;
      readonly next: LoginNext<P> | undefined;
    }
  | {
      readonly kind: 'open';
      readonly session: Session<P>;
      readonly inbound: Inbound<P>;
      readonly method: string | undefined;
      readonly reauthentication: LoginNext<P> | undefined;
    }
  | { readonly kind: 'closed' };

const CONNECT_BYTE = 0x10;
const CLIENT_ID_BYTES_MAX = 128;
/** How long a closed connection may take to read the reason. */
const LINGER_MS = 1_000;

export class Connection<P extends Principal> implements Outlet {
  readonly #socket: Socket;
  readonly #host: ConnectionHost<P>;
  readonly #reader = new FrameReader(EDGE_LIMITS.connectBytesMax);
  readonly #decoder = new PacketDecoder();
  readonly #throttle: Throttle;
  #state: State<P> = { kind: 'waiting' };
  #version: Version = 4;
  /** A login step is in work; packets wait. */
  #busy = false;
  #corked = false;
  #will: Will | undefined;
  #keepAliveMs = 0;
  #active: number;
  readonly #since: number;
  #packetBytesMax = Infinity;
  #problems = true;
  inFlightMax: number = EDGE_LIMITS.outboundInFlightMax;
  topicAliasMax = 0;

  constructor(socket: Socket, host: ConnectionHost<P>) {
    this.#socket = socket;
    this.#host = host;
    this.#since = host.now();
    this.#active = this.#since;
    this.#throttle = new Throttle(EDGE_LIMITS.bytesPerSecondMax, () => this.#pump());
  }

  start(): void {
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('drain', () => {
      if (this.#state.kind === 'open') this.#state.session.drain();
    });
    // The reason is in 'close', which always follows.
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#close());
  }

  get stranger(): boolean {
    return this.#state.kind === 'waiting' || this.#state.kind === 'login';
  }

  get backlog(): number {
    return this.#socket.writableLength;
  }

  /** Called about once a second: silence beyond one and a half keep-alives ends the connection (§3.1.2.10). */
  tick(now: number): void {
    if (this.stranger) {
      if (now - this.#since > EDGE_LIMITS.connectTimeoutMs) this.#drop();
    } else if (this.#keepAliveMs > 0 && now - this.#active > 1.5 * this.#keepAliveMs) {
      this.fail(new MqttFault(REASON.keepAliveTimeout, 'nothing was heard within the keep-alive'));
    }
  }

  send(packet: Packet): boolean {
    if (this.#state.kind === 'closed') return false;
    let bytes = encodePacket(this.#trimmed(packet), this.#version);
    if (bytes.length > this.#packetBytesMax) {
      if (packet.cmd === 'publish') return false;
      const { properties: _, ...bare } = packet as Packet & { properties?: unknown };
      bytes = encodePacket(bare as Packet, this.#version);
    }
    this.#write(bytes);
    return true;
  }

  /** Says why where the version can, and ends. */
  fail(fault: MqttFault): void {
    const state = this.#state;
    if (state.kind === 'closed') return;
    if (state.kind === 'open') {
      if (this.#version === 5)
        this.send({ cmd: 'disconnect', reasonCode: fault.code, properties: { reasonString: fault.message } });
    } else if (state.kind === 'login' || fault.code === REASON.unsupportedVersion) {
      this.#connack(fault.code, fault.message);
    }
    this.#drop();
  }

  /** Writes of one turn leave together. */
  #write(bytes: Buffer): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  /** §3.1.2.11.7: a client that wants no problem information gets reasons only in CONNACK and DISCONNECT. */
  #trimmed(packet: Packet): Packet {
    if (this.#problems || packet.cmd === 'publish' || packet.cmd === 'connack' || packet.cmd === 'disconnect')
      return packet;
    const { properties, ...bare } = packet as Packet & { properties?: object };
    return properties === undefined || packet.cmd === 'auth' ? packet : (bare as Packet);
  }

  #drop(): void {
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    this.#close();
  }

  #close(): void {
    const state = this.#state;
    if (state.kind === 'closed') return;
    this.#state = { kind: 'closed' };
    this.#throttle.stop();
    this.#host.closed(this, { session: state.kind === 'open' ? state.session : undefined, will: this.#will });
  }

  #onData(chunk: Buffer): void {
    if (this.#state.kind === 'closed') return;
    this.#active = this.#host.now();
    this.#throttle.take(chunk.length, this.#active);
    this.#reader.append(chunk);
    this.#pump();
  }

  /** Works off whole packets for as long as nothing says wait; otherwise the socket holds back the sender. */
  #pump(): void {
    // What begins otherwise is not MQTT; waiting for the length it seems to claim would only hold a place.
    if (this.#state.kind === 'waiting' && (this.#reader.first ?? CONNECT_BYTE) !== CONNECT_BYTE)
      return this.#drop();
    try {
      while (!this.#held()) {
        const frame = this.#reader.next();
        if (frame === undefined) break;
        this.#receive(this.#decoder.decode(frame));
      }
    } catch (error) {
      if (error instanceof MqttFault) return this.fail(error);
      this.#host.log.error('mqtt: a packet was not handled', { reason: reasonOf(error) });
      return this.fail(new MqttFault(REASON.implementationSpecific, 'a bug of ours'));
    }
    if (this.#held()) this.#socket.pause();
    else this.#socket.resume();
  }

  #held(): boolean {
    const state = this.#state;
    return (
      state.kind === 'closed' ||
      this.#busy ||
      this.#throttle.exhausted ||
      (state.kind === 'open' && state.inbound.full)
    );
  }

  #receive(packet: Packet): void {
    const state = this.#state;
    switch (state.kind) {
      case 'closed':
        return;
      case 'waiting':
        if (packet.cmd !== 'connect')
          throw new MqttFault(REASON.protocolError, 'the first packet is not CONNECT');
        return this.#onConnect(packet);
      case 'login':
        if (packet.cmd === 'disconnect') return this.#drop();
        if (packet.cmd !== 'auth') throw new MqttFault(REASON.protocolError, 'expected AUTH');
        return this.#onAuth(packet, state.connect.properties?.authenticationMethod, state.next);
      case 'open':
        return this.#onPacket(packet, state);
    }
  }

  #onConnect(packet: IConnectPacket): void {
    this.#version = packet.protocolVersion ?? 4;
    this.#state = { kind: 'login', connect: packet, next: undefined };
    const { properties, username, password, will } = packet;
    if (packet.clientId === '') {
      if (this.#version !== 5 && packet.clean !== true)
        throw new MqttFault(REASON.clientIdInvalid, 'a session to keep needs a client id');
    } else if (Buffer.byteLength(packet.clientId) > CLIENT_ID_BYTES_MAX) {
      throw new MqttFault(
        REASON.clientIdInvalid,
        `expected a client id of at most ${CLIENT_ID_BYTES_MAX} bytes`,
      );
    }
    if (will !== undefined && !isTopicName(will.topic))
      throw new MqttFault(REASON.topicNameInvalid, 'the topic of the will');
    if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined)
      throw new MqttFault(REASON.protocolError, 'authentication data without a method');
    const login = {
      version: this.#version,
      clientId: packet.clientId,
      remote: this.#socket.remoteAddress ?? '',
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: ownBytes(password) }),
      ...(properties?.authenticationMethod === undefined ? {} : { method: properties.authenticationMethod }),
      ...(properties?.authenticationData === undefined
        ? {}
        : { data: ownBytes(properties.authenticationData) }),
    };
    this.#step(() => this.#host.access.login(login));
  }

  #onAuth(packet: IAuthPacket, method: string | undefined, next: LoginNext<P> | undefined): void {
    const { authenticationMethod, authenticationData } = packet.properties ?? {};
    if (
      packet.reasonCode !== REASON.continueAuthentication ||
      next === undefined ||
      method === undefined ||
      authenticationMethod !== method
    )
      throw new MqttFault(REASON.protocolError, 'AUTH does not continue what was begun');
    this.#step(() => next(ownBytes(authenticationData ?? Buffer.alloc(0))));
  }

  /** Runs one step of a login. Packets wait meanwhile; the connection may be gone when it settles. */
  #step(run: () => LoginStep<P> | Promise<LoginStep<P>>): void {
    this.#busy = true;
    void (async () => {
      let step: LoginStep<P>;
      try {
        step = await run();
      } catch (error) {
        this.#host.log.error('mqtt: login failed', { reason: reasonOf(error) });
        step = {
          kind: 'refuse',
          code: REASON.serverUnavailable,
          reason: 'login is not possible at the moment',
        };
      }
      this.#busy = false;
      const state = this.#state;
      try {
        if (state.kind === 'login') this.#onLoginStep(step, state.connect);
        else if (state.kind === 'open') this.#onReauthentication(step, state);
      } catch (error) {
        if (error instanceof MqttFault) return this.fail(error);
        this.#host.log.error('mqtt: login failed', { reason: reasonOf(error) });
        return this.fail(new MqttFault(REASON.implementationSpecific, 'a bug of ours'));
      }
      this.#pump();
    })();
  }

  #onLoginStep(step: LoginStep<P>, connect: IConnectPacket): void {
    switch (step.kind) {
      case 'refuse':
        throw new MqttFault(step.code, step.reason);
      case 'continue':
        this.#state = { kind: 'login', connect, next: step.next };
        this.#sendAuth(REASON.continueAuthentication, connect.properties?.authenticationMethod, step.data);
        return;
      case 'accept':
        return this.#open(connect, step.principal);
    }
  }

  #sendAuth(reasonCode: number, method: string | undefined, data?: Uint8Array): void {
    this.send({
      cmd: 'auth',
      reasonCode,
      properties: {
        ...(method === undefined ? {} : { authenticationMethod: method }),
        ...(data === undefined ? {} : { authenticationData: Buffer.from(data) }),
      },
    });
  }

  #open(connect: IConnectPacket, principal: P): void {
    const { properties } = connect;
    const v5 = this.#version === 5;
    this.#will = this.#willOf(connect, principal);
    const clientId = connect.clientId === '' ? this.#host.newClientId() : connect.clientId;
    const asked = v5
      ? (properties?.sessionExpiryInterval ?? 0)
      : connect.clean === true
        ? 0
        : EDGE_LIMITS.sessionExpirySecondsMax;
    const expirySeconds = Math.min(asked, EDGE_LIMITS.sessionExpirySecondsMax);
    const keepAlive = connect.keepalive ?? 0;
    const imposed =
      v5 && (keepAlive === 0 || keepAlive > EDGE_LIMITS.keepAliveSecondsMax)
        ? EDGE_LIMITS.keepAliveSecondsMax
        : undefined;
    this.#keepAliveMs = (imposed ?? keepAlive) * 1000;
    this.#problems = properties?.requestProblemInformation ?? true;
    this.inFlightMax = Math.min(
      properties?.receiveMaximum ?? EDGE_LIMITS.outboundInFlightMax,
      EDGE_LIMITS.outboundInFlightMax,
    );
    this.topicAliasMax = Math.min(properties?.topicAliasMaximum ?? 0, EDGE_LIMITS.topicAliasMax);
    const opened = this.#host.open(this, {
      clientId,
      principal,
      clean: connect.clean ?? true,
      expirySeconds,
    });
    if (opened === undefined) {
      this.#will = undefined;
      throw new MqttFault(REASON.quotaExceeded, 'too many sessions');
    }
    const { session, present } = opened;
    this.#reader.bytesMax = EDGE_LIMITS.packetBytesMax;
    this.#connack(REASON.success, undefined, {
      sessionPresent: present,
      properties: {
        ...(expirySeconds === asked ? {} : { sessionExpiryInterval: expirySeconds }),
        receiveMaximum: EDGE_LIMITS.receiveMaximum,
        maximumPacketSize: EDGE_LIMITS.packetBytesMax,
        topicAliasMaximum: EDGE_LIMITS.topicAliasMax,
        sharedSubscriptionAvailable: false,
        ...(connect.clientId === '' ? { assignedClientIdentifier: clientId } : {}),
        ...(imposed === undefined ? {} : { serverKeepAlive: imposed }),
        ...(properties?.authenticationMethod === undefined
          ? {}
          : { authenticationMethod: properties.authenticationMethod }),
      },
    });
    // From here on: the CONNACK itself is not held to the client's limit.
    this.#packetBytesMax = properties?.maximumPacketSize ?? Infinity;
    const inbound = new Inbound<P>({
      version: this.#version,
      session,
      mayPublish: (topic) => this.#host.access.mayPublish(principal, topic),
      handle: this.#host.handle,
      route: (publish, packet) =>
        this.#host.route(
          publish,
          expiryOf(packet.properties?.messageExpiryInterval, this.#host.now()).expiresAt,
        ),
      send: (packet) => void this.send(packet),
      refuse: (reason) => this.fail(new MqttFault(REASON.implementationSpecific, reason)),
      settled: () => this.#pump(),
      bug: (error) => this.#host.log.error('mqtt: a publish was not handled', { reason: reasonOf(error) }),
    });
    this.#state = {
      kind: 'open',
      session,
      inbound,
      method: properties?.authenticationMethod,
      reauthentication: undefined,
    };
    session.attach(this);
  }

  #willOf(connect: IConnectPacket, principal: P): Will | undefined {
    const { will } = connect;
    if (will === undefined) return undefined;
    if (!this.#host.access.mayPublish(principal, will.topic))
      throw new MqttFault(REASON.notAuthorised, 'the topic of the will is not yours to publish to');
    const message: Message = {
      topic: will.topic,
      payload: ownBytes(will.payload),
      qos: will.qos ?? 0,
      retain: will.retain ?? false,
      properties: passedThrough(will.properties),
      ...expiryOf(will.properties?.messageExpiryInterval, this.#host.now()),
    };
    return { message, delayMs: (will.properties?.willDelayInterval ?? 0) * 1000 };
  }

  #connack(
    code: ReasonCode,
    reason: string | undefined,
    o: { sessionPresent?: boolean; properties?: object } = {},
  ): void {
    const properties = { ...o.properties, ...(reason === undefined ? {} : { reasonString: reason }) };
    const sessionPresent = o.sessionPresent ?? false;
    this.send(
      (this.#version === 5
        ? { cmd: 'connack', reasonCode: code, sessionPresent, properties }
        : { cmd: 'connack', returnCode: connackCodeOf(code), sessionPresent }) as Packet,
    );
  }

  #onReauthentication(step: LoginStep<P>, state: Extract<State<P>, { kind: 'open' }>): void {
    switch (step.kind) {
      case 'refuse':
        throw new MqttFault(step.code, step.reason);
      case 'continue':
        this.#state = { ...state, reauthentication: step.next };
        return this.#sendAuth(REASON.continueAuthentication, state.method, step.data);
      case 'accept':
        if (step.principal.id !== state.session.principal.id)
          throw new MqttFault(REASON.notAuthorised, 'authenticated as someone else');
        this.#state = { ...state, reauthentication: undefined };
        return this.#sendAuth(REASON.success, state.method);
    }
  }

  #onPacket(packet: Packet, state: Extract<State<P>, { kind: 'open' }>): void {
    const { session, inbound } = state;
    switch (packet.cmd) {
      case 'publish':
        return inbound.publish(packet);
      case 'pubrel':
        return inbound.release(packet.messageId ?? 0);
      case 'puback':
        session.acknowledge(packet.messageId ?? 0);
        return;
      case 'pubrec':
        if (isFailure(packet.reasonCode ?? 0)) session.acknowledge(packet.messageId ?? 0);
        else
          this.send({
            cmd: 'pubrel',
            messageId: packet.messageId ?? 0,
            reasonCode: session.release(packet.messageId ?? 0) ? 0 : REASON.packetIdNotFound,
          } as Packet);
        return;
      case 'pubcomp':
        return session.complete(packet.messageId ?? 0);
      case 'subscribe':
        return this.#onSubscribe(packet, session);
      case 'unsubscribe':
        return this.#onUnsubscribe(packet, session);
      case 'pingreq':
        this.send({ cmd: 'pingresp' });
        return;
      case 'disconnect':
        return this.#onDisconnect(packet, session);
      case 'auth': {
        const { authenticationMethod: method, authenticationData: data } = packet.properties ?? {};
        if (packet.reasonCode !== REASON.reauthenticate)
          return this.#onAuth(packet, state.method, state.reauthentication);
        if (state.method === undefined || method !== state.method)
          throw new MqttFault(REASON.protocolError, 'AUTH without the method of the login');
        const login = {
          version: this.#version,
          clientId: session.clientId,
          remote: this.#socket.remoteAddress ?? '',
          method,
          ...(data === undefined ? {} : { data: ownBytes(data) }),
        };
        return this.#step(() => this.#host.access.login(login));
      }
      case 'connect':
        throw new MqttFault(REASON.protocolError, 'a second CONNECT');
      case 'connack':
      case 'suback':
      case 'unsuback':
      case 'pingresp':
        throw new MqttFault(REASON.protocolError, `a client does not send ${packet.cmd}`);
    }
  }

  #onSubscribe(packet: ISubscribePacket, session: Session<P>): void {
    const identifier = packet.properties?.subscriptionIdentifier;
    const retained: Subscription[] = [];
    const granted = packet.subscriptions.map((asked) => {
      const refusal = this.#subscriptionRefusal(asked.topic, session);
      if (refusal !== undefined) return this.#version === 5 ? refusal : REASON.unspecified;
      const subscription: Subscription = {
        filter: asked.topic,
        qos: asked.qos as QoS,
        noLocal: asked.nl ?? false,
        retainAsPublished: asked.rap ?? false,
        ...(identifier === undefined ? {} : { identifier }),
      };
      const { fresh } = this.#host.subscribe(session, subscription);
      const handling = asked.rh ?? 0;
      if (handling === 0 || (handling === 1 && fresh)) retained.push(subscription);
      return asked.qos;
    });
    this.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted });
    for (const subscription of retained) this.#host.sendRetained(session, subscription);
    packet.subscriptions.forEach(({ topic }, i) => {
      if ((granted[i] ?? REASON.unspecified) <= 2) this.#host.subscribed(session, topic);
    });
  }

  #subscriptionRefusal(filter: string, session: Session<P>): number | undefined {
    if (filter.startsWith('$share/')) return REASON.sharedSubscriptionsUnsupported;
    if (!isTopicFilter(filter)) return REASON.topicFilterInvalid;
    if (!this.#host.access.maySubscribe(session.principal, filter)) return REASON.notAuthorised;
    const full = session.subscriptions.size >= EDGE_LIMITS.subscriptionsPerSessionMax;
    return full && !session.subscriptions.has(filter) ? REASON.quotaExceeded : undefined;
  }

  #onUnsubscribe(packet: IUnsubscribePacket, session: Session<P>): void {
    const granted = packet.unsubscriptions.map((filter) =>
      this.#host.unsubscribe(session, filter) ? REASON.success : REASON.noSubscriptionExisted,
    );
    this.send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted });
  }

  #onDisconnect(packet: IDisconnectPacket, session: Session<P>): void {
    const expiry = packet.properties?.sessionExpiryInterval;
    if (expiry !== undefined) {
      if (session.expirySeconds === 0 && expiry > 0)
        throw new MqttFault(REASON.protocolError, 'a session that ends cannot be kept after all');
      session.expirySeconds = Math.min(expiry, EDGE_LIMITS.sessionExpirySecondsMax);
    }
    if ((packet.reasonCode ?? 0) !== REASON.disconnectWithWill) this.#will = undefined;
    this.#drop();
  }
}
