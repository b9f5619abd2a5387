// The outside world, at the network edge: fakes that speak the providers' real protocols, behind an HTTP CONNECT proxy.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { constants, createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SMTPServer } from 'smtp-server';
import { HOSTS, makeCertificate, type Certificate } from './pki';

/**
 * accept: all is well; hang: takes the request and never answers; held: answers once release() is called; gone: the device is unknown; a
 * number: that HTTP status; `{ status, body }`: that very answer, with `headers`, `cut` before its end; drop: ends the connection once it has the request.
 * Of APNs alone, refuse: RST_STREAM with REFUSED_STREAM for the first one; goaway: GOAWAY before the answer.
 */
export type Mode =
  | 'accept'
  | 'hang'
  | 'held'
  | 'gone'
  | 'drop'
  | 'refuse'
  | 'goaway'
  | number
  | { status: number; body: string; cut?: boolean; headers?: Record<string, string> };

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: unknown;
}

/** What a fake has seen, and a way to wait for the next. */
class Log {
  readonly received: Received[] = [];
  #waiting: { count: number; resolve: () => void }[] = [];
  mode: Mode = 'accept';
  /** For one recipient, a device's token or a number, in place of `mode`. */
  readonly only = new Map<string, Mode>();
  #held: (() => void)[] = [];

  /** Runs what is held until now, and what comes from now on as `accept`. */
  release(): void {
    this.mode = 'accept';
    for (const answer of this.#held.splice(0)) answer();
  }

  modeFor(recipient: string | undefined): Mode {
    return this.only.get(recipient ?? '') ?? this.mode;
  }

  hold(answer: () => void): void {
    this.#held.push(answer);
  }

  push(entry: Received): void {
    this.received.push(entry);
    this.#waiting = this.#waiting.filter(({ count, resolve }) => {
      if (this.received.length < count) return true;
      resolve();
      return false;
    });
  }

  /** Resolves once `count` requests have come in all. */
  async reached(count: number): Promise<void> {
    if (this.received.length >= count) return;
    await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
  }

  reset(): void {
    this.#held.length = 0;
    this.received.length = 0;
    this.only.clear();
    this.mode = 'accept';
  }
}

const readAll = async (stream: AsyncIterable<Buffer>): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
};

const listen = async (server: {
  listen: (port: number, host: string, ready: () => void) => unknown;
  address: () => unknown;
}): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

function fakeApns({ key, cert }: Certificate, log: Log, sessions: Set<ServerHttp2Session>): Http2SecureServer {
  const server = createSecureServer({ key, cert });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    void readAll(stream as AsyncIterable<Buffer>).then((text) => {
      log.push({ path: String(headers[':path']), headers: headers, body: JSON.parse(text) });
      const mode = log.modeFor(String(headers[':path']).split('/').pop());
      if (mode === 'hang') return;
      const answer = (status: number, reason?: string): void => {
        stream.respond({ ':status': status, 'apns-id': '00000000-0000-0000-0000-000000000000' });
        stream.end(reason === undefined ? undefined : JSON.stringify({ reason }));
      };
      if (mode === 'accept') answer(200);
      else if (mode === 'held') log.hold(() => answer(200));
      else if (mode === 'drop') stream.session?.destroy();
      else if (mode === 'refuse') {
        log.mode = 'accept';
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
      } else if (mode === 'goaway') {
        stream.session?.goaway();
        answer(200);
      } else if (typeof mode === 'object') {
        stream.respond({ ':status': mode.status, ...mode.headers });
        if (mode.cut === true) stream.write(mode.body, () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
        else stream.end(mode.body);
      } else if (mode === 'gone') answer(410, 'Unregistered');
      else if (typeof mode === 'number') answer(mode, mode === 429 ? 'TooManyRequests' : mode >= 500 ? 'ServiceUnavailable' : 'BadTopic');
    });
    stream.on('error', () => undefined);
  });
  server.on('sessionError', () => undefined);
  return server;
}

/** An answer as it stands; one that is cut says that it is longer than what comes. */
function exactly(response: ServerResponse, { status, body, cut = false, headers = {} }: Exclude<Mode, string | number>): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body) + (cut ? 10 : 0),
    ...headers,
  });
  if (cut) response.write(body, () => response.socket?.destroy());
  else response.end(body);
}

function fakeFcm({ key, cert }: Certificate, log: Log): HttpsServer {
  return createHttpsServer({ key, cert }, (request, response) => {
    void readAll(request).then((text) => {
      const json = (status: number, body: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      };
      if (request.url === '/token') {
        json(200, { access_token: 'fake-access-token', expires_in: 3600, token_type: 'Bearer' });
        return;
      }
      const body = JSON.parse(text) as { message?: { token?: string } };
      log.push({ path: request.url ?? '', headers: request.headers, body });
      const mode = log.modeFor(body.message?.token);
      if (mode === 'accept') json(200, { name: 'projects/p/messages/1' });
      else if (mode === 'held') log.hold(() => json(200, { name: 'projects/p/messages/1' }));
      else if (mode === 'drop') request.socket.destroy();
      else if (typeof mode === 'object') exactly(response, mode);
      else if (mode === 'gone') {
        json(404, {
          error: {
            code: 404,
            status: 'NOT_FOUND',
            details: [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode: 'UNREGISTERED' }],
          },
        });
      } else if (typeof mode === 'number') json(mode, { error: { code: mode, status: 'UNAVAILABLE' } });
    });
  });
}

function fakeTwilio({ key, cert }: Certificate, log: Log): HttpsServer {
  return createHttpsServer({ key, cert }, (request, response) => {
    void readAll(request).then((text) => {
      const body = Object.fromEntries(new URLSearchParams(text));
      log.push({ path: request.url ?? '', headers: request.headers, body });
      const mode = log.modeFor(body['To']);
      if (mode === 'hang') return;
      if (mode === 'drop') {
        request.socket.destroy();
        return;
      }
      if (typeof mode === 'object') {
        exactly(response, mode);
        return;
      }
      const status = typeof mode === 'number' ? mode : mode === 'gone' ? 400 : 201;
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(
          status === 201 ? { sid: 'SM1', status: 'queued' } : { code: mode === 'gone' ? 21211 : 20500, message: 'no', status },
        ),
      );
    });
  });
}

function fakeHcaptcha({ key, cert }: Certificate, log: Log): HttpsServer {
  return createHttpsServer({ key, cert }, (request, response) => {
    void readAll(request).then((text) => {
      const body = Object.fromEntries(new URLSearchParams(text));
      log.push({ path: request.url ?? '', headers: request.headers, body });
      const { mode } = log;
      if (mode === 'hang') return;
      response.writeHead(typeof mode === 'number' ? mode : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ success: body['response'] === 'a-person' && body['secret'] === 'captcha-secret' }));
    });
  });
}

/** Ends TLS nowhere: it passes bytes on to the fake that stands for the host, and refuses every other host. */
function connectProxy(ports: Map<string, number>, seen: string[]): Server {
  const server = createHttpServer((_request, response) => {
    response.writeHead(405).end();
  });
  server.on('connect', (request, socket, head) => {
    const authority = request.url ?? '';
    seen.push(authority);
    const port = ports.get(authority);
    if (port === undefined) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    const upstream = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    for (const end of [upstream, socket as Socket]) end.on('error', () => end.destroy());
    upstream.on('close', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
  });
  return server;
}

export interface ReceivedMail {
  to: string[];
  from: string;
  text: string;
}

export interface OutsideWorld {
  apns: Log;
  apnsDev: Log;
  fcm: Log;
  twilio: Log;
  hcaptcha: Log;
  /** Hosts that were asked for through the proxy, `host:port`. */
  proxied: string[];
  mails: ReceivedMail[];
  smtp: { mode: 'accept' | 'reject' | 'hang' | 'busy' };
  /** Settings under which every provider is configured and reached here. */
  environment: Record<string, string>;
  close: () => Promise<void>;
}

export async function startOutsideWorld(): Promise<OutsideWorld> {
  const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-outside-'));
  const certificate = await makeCertificate(directory);
  const logs = { apns: new Log(), apnsDev: new Log(), fcm: new Log(), twilio: new Log(), hcaptcha: new Log() };
  const sessions = new Set<ServerHttp2Session>();
  const servers = [
    { host: HOSTS.apns, server: fakeApns(certificate, logs.apns, sessions) },
    { host: HOSTS.apnsDev, server: fakeApns(certificate, logs.apnsDev, sessions) },
    { host: HOSTS.fcm, server: fakeFcm(certificate, logs.fcm) },
    { host: HOSTS.twilio, server: fakeTwilio(certificate, logs.twilio) },
    { host: HOSTS.hcaptcha, server: fakeHcaptcha(certificate, logs.hcaptcha) },
  ];
  const ports = new Map<string, number>();
  for (const { host, server } of servers) ports.set(`${host}:443`, await listen(server));
  ports.set(`${HOSTS.google}:443`, ports.get(`${HOSTS.fcm}:443`) ?? 0);
  const proxied: string[] = [];
  const proxy = connectProxy(ports, proxied);
  const proxyPort = await listen(proxy);

  const mails: ReceivedMail[] = [];
  const smtpState: OutsideWorld['smtp'] = { mode: 'accept' };
  const smtp = new SMTPServer({
    key: certificate.key,
    cert: certificate.cert,
    authOptional: true,
    onAuth: ({ username, password }, _session, done) =>
      done(username === 'mailer' && password === 'mail-secret' ? null : new Error('no'), { user: username }),
    onRcptTo: (_address, _session, done) => {
      if (smtpState.mode === 'reject') done(Object.assign(new Error('no such user'), { responseCode: 550 }));
      else if (smtpState.mode === 'busy') done(Object.assign(new Error('later'), { responseCode: 451 }));
      else done();
    },
    onData: (stream, session, done) => {
      void readAll(stream as unknown as AsyncIterable<Buffer>)
        .then((text) => {
          const { mailFrom, rcptTo } = session.envelope;
          mails.push({ from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map(({ address }) => address), text });
          if (smtpState.mode !== 'hang') done();
        })
        .catch(() => undefined); // Who sent it is gone.
    },
  });
  smtp.on('error', () => undefined);
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve));

  const apnsKey = path.join(directory, 'apns.p8');
  writeFileSync(apnsKey, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const account = path.join(directory, 'service-account.json');
  const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(
    account,
    JSON.stringify({
      type: 'service_account',
      project_id: 'linphone-test',
      private_key: privateKey,
      client_email: 'push@linphone-test.example',
      token_uri: `https://${HOSTS.google}/token`,
    }),
  );

  const environment = {
    HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`,
    NODE_EXTRA_CA_CERTS: certificate.file,
    APNS_KEY_FILE: apnsKey,
    APNS_KEY_ID: 'KEYID12345',
    APNS_TEAM_ID: 'TEAMID1234',
    FIREBASE_SERVICE_ACCOUNTS: `linphone-test:${account}`,
    TWILIO_ACCOUNT_SID: 'AC00000000000000000000000000000000',
    TWILIO_AUTH_TOKEN: 'twilio-secret',
    TWILIO_FROM: '+15005550006',
    MAIL_HOST: 'localhost',
    MAIL_PORT: String((smtp.server.address() as AddressInfo).port),
    MAIL_USERNAME: 'mailer',
    MAIL_PASSWORD: 'mail-secret',
    MAIL_FROM_ADDRESS: 'no-reply@sip.example.org',
  };
  const close = async (): Promise<void> => {
    for (const session of sessions) session.destroy();
    for (const { server } of servers) {
      if ('closeAllConnections' in server) server.closeAllConnections();
      server.close();
    }
    proxy.closeAllConnections();
    proxy.close();
    await new Promise<void>((resolve) => smtp.close(() => resolve()));
  };
  return { ...logs, proxied, mails, smtp: smtpState, environment, close };
}
