// The OpenAPI 3.1 document, made of the endpoints.
import type Joi from 'joi';
import type { Settings } from '../../config';
import { SCOPES } from '../services/credentials/identities';
import { type Json, SchemaWriter } from './json-schema';
import { type AnyEndpoint, type Answer, type Api, changesAnything } from './route';

/** What every endpoint may answer with besides its own answers: under which name, and when. */
const COMMON_ANSWERS: Record<number, { name: string; description: string }> = {
  400: { name: 'BadRequest', description: 'The path or the body cannot be read: the body is no JSON object' },
  401: { name: 'Unauthorized', description: 'Not authenticated' },
  403: { name: 'Forbidden', description: 'Blocked, expired space, not the role for it, or a cookie that a browser must not act by here' },
  404: {
    name: 'NotFound',
    description:
      'DIGEST names no account, the endpoint is switched off, or the account was deleted meanwhile, or what else the request names',
  },
  406: { name: 'NotAcceptable', description: 'The answer has a content type which `accept` does not admit' },
  408: { name: 'RequestTimeout', description: 'The request did not come whole in time' },
  413: { name: 'ContentTooLarge', description: 'The body is larger than 1 MiB' },
  415: { name: 'UnsupportedMediaType', description: 'The body is not application/json' },
  417: { name: 'ExpectationFailed', description: 'The header `expect` has another value than `100-continue`' },
  422: { name: 'UnprocessableContent', description: 'A field is not valid: `errors` names it' },
  429: { name: 'TooManyRequests', description: 'Too many requests' },
  431: { name: 'RequestHeaderFieldsTooLarge', description: 'A header is too long, or there are too many' },
  500: { name: 'InternalServerError', description: 'A fault of the server' },
  503: { name: 'ServiceUnavailable', description: 'A worker, a provider, Redis or PostgreSQL did not do its part in time' },
};

/**
 * What an endpoint may answer besides its own `answers`, since every endpoint passes the same checks before its handler.
 *
 * @returns statuses; each has the shape `Error`
 */
function commonAnswersOf(endpoint: AnyEndpoint): number[] {
  const { access, params, body, query, oversized, when } = endpoint;
  const isPublic = access === 'public';
  return [
    400,
    ...(isPublic ? [] : [401, 403]),
    // Of public ones, those that write: what they write about may be deleted in the same moment.
    ...(isPublic && !when && !changesAnything(endpoint) ? [] : [404]),
    406,
    408,
    413,
    415,
    417,
    ...(params || body || query || oversized !== undefined ? [422] : []),
    // Of endpoints without a limit by account, too: whoever is not authenticated is limited by address.
    429,
    431,
    500,
    503,
  ];
}

/** The content type of the answers that a schema describes: text for a bare string, JSON for all else. */
const contentTypeOf = (schema: Joi.Schema): 'text/plain' | 'application/json' =>
  schema.type === 'string' ? 'text/plain' : 'application/json';

const whole = { type: 'integer', minimum: 0 };
const RATE_LIMIT_HEADERS: Record<string, Json> = {
  'ratelimit-policy': { description: 'Limit and window: `60;w=60` is 60 requests in 60 seconds', schema: { type: 'string' } },
  'ratelimit-limit': { description: 'Requests in a window', schema: whole },
  'ratelimit-remaining': { description: 'Those that are left', schema: whole },
  'ratelimit-reset': { description: 'Seconds until there are as many again', schema: whole },
  'x-ratelimit-limit': { description: 'The same as `ratelimit-limit`, for older clients', schema: whole },
  'x-ratelimit-remaining': { description: 'The same as `ratelimit-remaining`, for older clients', schema: whole },
};

const HEADERS: Record<string, Json> = {
  'x-request-id': {
    description: 'The one that the request brought, or a new one; the log has it',
    schema: { type: 'string', maxLength: 128 },
  },
  'content-language': { description: 'Language of `message` and `errors`', schema: { type: 'string', enum: ['en', 'fr'] } },
  'www-authenticate': { description: 'Challenges, where a client can go on', schema: { type: 'string' } },
  'retry-after': { description: 'Seconds until it may be asked again', schema: whole },
  'x-ratelimit-reset': { description: 'When there are requests left again, in seconds since 1970', schema: whole },
  ...RATE_LIMIT_HEADERS,
};

/** The headers of an answer, beside those of HTTP itself. Which of them an error has depends on the check that it failed: none is promised. */
function headersOf(status: number, isLimited: boolean, own: Record<string, string> = {}): Json {
  const names = [
    'x-request-id',
    ...(status >= 400 ? ['content-language'] : []),
    ...(status === 401 ? ['www-authenticate'] : []),
    ...([403, 429, 503].includes(status) ? ['retry-after'] : []),
    ...(status === 429 ? ['x-ratelimit-reset'] : []),
    ...(isLimited ? Object.keys(RATE_LIMIT_HEADERS) : []),
  ];
  return {
    ...Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
    ...Object.fromEntries(Object.entries(own).map(([name, description]) => [name, { description, schema: { type: 'string' } }])),
  };
}

const errorResponse = (status: number, description: string, isLimited: boolean): Json => ({
  description,
  headers: headersOf(status, isLimited),
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
});

const PARAMETER = /:(\w+)/g;

const CHANGING_GET = 'It changes something, though it is a GET: `HEAD` is not answered.';

const ROLES = { public: 'Anybody', user: 'Any account', admin: 'Admins', super_admin: 'Super admins' } as const;

const accessOf = ({ access, scope }: AnyEndpoint): string =>
  `*Access: ${ROLES[access]}.${scope === null ? '' : ` Scope of a named key: \`${scope}\`.`}*`;

/** Schemes by which a named key is shown; what a person shows has no scopes. */
const isOfKeys = (scheme: string): boolean => scheme.startsWith('api_key');

/** Writes the operations of one document. */
class OperationWriter {
  readonly schemas = new SchemaWriter();
  readonly #api: Api;
  readonly #isLimited: boolean;
  readonly #schemes: string[];

  constructor(api: Api, settings: Settings, schemes: Json) {
    this.#api = api;
    this.#isLimited = settings.RATE_LIMIT_PER_MINUTE > 0;
    this.#schemes = Object.keys(schemes);
    this.schemas.of(api.error, 'answer');
  }

  operation(endpoint: AnyEndpoint): Json {
    const isChangingGet = endpoint.method === 'get' && changesAnything(endpoint);
    const name = endpoint.path.replace(/[/:]+/g, '_').replace(/[^A-Za-z0-9_]/g, '_');
    const parameters = this.#parameters(endpoint);
    return {
      operationId: `${endpoint.method}${name}`,
      tags: [endpoint.group],
      summary: endpoint.summary,
      description: [endpoint.description, isChangingGet ? CHANGING_GET : undefined, accessOf(endpoint)].filter(Boolean).join('\n\n'),
      ...(endpoint.deprecated ? { deprecated: true } : {}),
      ...(parameters.length === 0 ? {} : { parameters }),
      ...this.#requestBody(endpoint),
      responses: this.#responses(endpoint),
      security: this.#security(endpoint),
    };
  }

  /** The common answers, by their names. */
  responses(): Json {
    const entries = Object.entries(COMMON_ANSWERS);
    return Object.fromEntries(
      entries.map(([status, { name, description }]) => [name, errorResponse(Number(status), description, this.#isLimited)]),
    );
  }

  /** OpenAPI 3.1, «Security Requirement Object»: of schemes other than OAuth's, the list has what else is required of whoever calls. */
  #security({ access, scope }: AnyEndpoint): Json[] {
    if (access === 'public') return [];
    return this.#schemes.map((name) => ({ [name]: isOfKeys(name) && scope !== null ? [scope] : [] }));
  }

  #parameters({ path, params, query }: AnyEndpoint): Json[] {
    const checked = new Map(
      params ? this.schemas.membersOf(params, 'path').map(([name, json, description]) => [name, { json, description }]) : [],
    );
    const inPath = [...path.matchAll(PARAMETER)].map(([, name = '']) => {
      const known = this.#api.parameters[name];
      const { description, ...plain } = known ? this.schemas.of(known, 'path') : {};
      const { json = plain, description: own = description } = checked.get(name) ?? {};
      return { name, in: 'path', required: true, ...(own === undefined ? {} : { description: own }), schema: json };
    });
    const inQuery = query ? this.schemas.membersOf(query, 'query') : [];
    return [
      ...inPath,
      ...inQuery.map(([name, schema, description]) => ({
        name,
        in: 'query',
        ...(description === undefined ? {} : { description }),
        allowEmptyValue: true,
        schema,
      })),
    ];
  }

  /** GET has none here, since browsers send none with it; there as elsewhere it is read, and dropped. */
  #requestBody({ method, body }: AnyEndpoint): Json {
    if (!body) return method === 'get' ? {} : { requestBody: { $ref: '#/components/requestBodies/Ignored' } };
    const schema = this.schemas.of(body, 'body');
    const required = isNeeded(
      typeof schema['$ref'] === 'string' ? (this.schemas.named[schema['$ref'].split('/').at(-1) ?? ''] ?? {}) : schema,
    );
    return { requestBody: { required, content: { 'application/json': { schema: required ? schema : orEmptyArray(schema) } } } };
  }

  #responses(endpoint: AnyEndpoint): Json {
    const isLimited = this.#isLimited && endpoint.unlimited !== true;
    const responses: Json = {};
    const common = commonAnswersOf(endpoint);
    for (const status of common) responses[status] = { $ref: `#/components/responses/${COMMON_ANSWERS[status]?.name}` };
    for (const [key, given] of Object.entries(endpoint.answers)) {
      const status = Number(key);
      const { description, schema, headers }: Answer = typeof given === 'string' ? { description: given } : given;
      if (!schema) {
        // What holds for every endpoint holds here, too: a 404 may also be the caller's own account, deleted meanwhile.
        const also = common.includes(status) ? COMMON_ANSWERS[status]?.description : undefined;
        responses[status] = errorResponse(status, also === undefined ? description : `${description}. Or: ${also}`, isLimited);
        continue;
      }
      const type = contentTypeOf(schema);
      const others = (type === 'application/json' ? (endpoint.formats ?? []) : [])
        .filter((format) => format !== type)
        .map((format) => [format, { schema: { type: 'string' } }] as const);
      responses[status] = {
        description,
        headers: headersOf(status, isLimited, headers),
        content: { [type]: { schema: this.schemas.of(schema, 'answer') }, ...Object.fromEntries(others) },
      };
    }
    return responses;
  }
}

/** Whether a body must be there: an absent one is `{}`. */
const isNeeded = (schema: Json): boolean => schema['required'] !== undefined || schema['allOf'] !== undefined;

/** `[]` is `{}`: PHP makes it of an empty object. */
const orEmptyArray = (schema: Json): Json => ({ anyOf: [schema, { type: 'array', maxItems: 0 }] });

/** The schemes that this server takes. */
function securitySchemes({ ACCOUNT_AUTHENTICATION_BEARER, JWT_RSA_PUBLIC_KEY_PEM }: Settings): Json {
  return {
    api_key: {
      type: 'apiKey',
      in: 'header',
      name: 'x-api-key',
      description: 'A person’s is bound to the address it was made from; a named one has scopes',
    },
    api_key_cookie: { type: 'apiKey', in: 'cookie', name: 'x-api-key', description: 'For pages of this server' },
    ...(ACCOUNT_AUTHENTICATION_BEARER === undefined
      ? { digest: { type: 'http', scheme: 'digest', description: 'RFC 7616, with the account in the header `From`' } }
      : {}),
    ...(JWT_RSA_PUBLIC_KEY_PEM === undefined ? {} : { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } }),
  };
}

/** What keys of machines are, with lines that work when pasted one after another. */
function describeNamedKeys({ APP_URL }: Settings): string[] {
  const keys = `${APP_URL}/api/api_keys`;
  return [
    '### Keys for machines',
    'What runs without a person has a key of its own: with a name, with **scopes**, from certain addresses or from anywhere, until a moment, until it is unused for a time, or for ever. An account has any number of them; an admin makes them, and sees each once:',
    `    curl -X POST -H 'x-api-key: YOUR_ADMIN_KEY' -H 'content-type: application/json' -d '{"name": "reports", "scopes": ["statistics:read"]}' ${keys}`,
    'It begins with `flexiapi_`, is sent as any key is, and does what both the role of its account and its scopes allow:',
    `    curl -H 'x-api-key: YOUR_MACHINE_KEY' '${APP_URL}/api/statistics/messages?by=day'`,
    `Scopes: ${SCOPES.map((scope) => `\`${scope}\``).join(', ')}; the last one is everything. One that writes allows no reading. Each endpoint names the one that it needs; without it the answer is 403, and names it, too. What would let a key be somebody who may do more than the key itself (an admin's credentials, a person's key) needs all of them. A person's key, DIGEST and JSON Web Tokens have all scopes.`,
    'A new secret, while the one before stays good for an hour:',
    `    curl -X POST -H 'x-api-key: YOUR_ADMIN_KEY' -H 'content-type: application/json' -d '{"grace_minutes": 60}' ${keys}/KEY_NUMBER/rotate`,
    'And its end, at once:',
    `    curl -X DELETE -H 'x-api-key: YOUR_ADMIN_KEY' ${keys}/KEY_NUMBER`,
  ];
}

/** The authentication schemes, with lines that work when pasted once the name, password, key or token in them is one's own. */
function describeSchemes({ APP_URL, APP_SIP_DOMAIN, ACCOUNT_AUTHENTICATION_BEARER, JWT_RSA_PUBLIC_KEY_PEM }: Settings): string[] {
  const me = `${APP_URL}/api/accounts/me`;
  return [
    '## Authentication',
    'Three schemes; where several are sent, a JSON Web Token goes before a key, and a key before DIGEST.',
    '**API key**, in the header `x-api-key` or the cookie of that name. The one that a person has is bound to the address it was made from and expires when unused; those of machines are below:',
    `    curl -H 'x-api-key: YOUR_KEY' ${me}`,
    'By cookie a browser acts for pages of this server alone, and never by a link; without `Origin` and `Sec-Fetch-Site`, what changes something needs the content type `application/json`.',
    ...(ACCOUNT_AUTHENTICATION_BEARER === undefined
      ? [
          '**DIGEST** (RFC 7616, MD5 or SHA-256), with the account in the `From` header. The answer to this line is a fresh API key:',
          `    curl --digest -u 'YOUR_NAME:YOUR_PASSWORD' -H 'From: sip:YOUR_NAME@${APP_SIP_DOMAIN}' ${me}/api_key`,
        ]
      : ['DIGEST is turned off on this server.']),
    JWT_RSA_PUBLIC_KEY_PEM === undefined
      ? '**JSON Web Tokens** (RS256, RS384, RS512) are taken once the operator sets `JWT_RSA_PUBLIC_KEY_PEM`:'
      : '**JSON Web Token** (RS256, RS384, RS512):',
    `    curl -H 'Authorization: Bearer YOUR_TOKEN' ${me}`,
    'A device without a password: `POST /accounts/auth_token`, have somebody attach the token, then `GET /accounts/me/api_key/{auth_token}`.',
  ];
}

/** @param version of the program */
export function openApiDocument(api: Api, settings: Settings, version: string): Json {
  const schemes = securitySchemes(settings);
  const writer = new OperationWriter(api, settings, schemes);
  const paths: Record<string, Json> = {};
  for (const endpoint of api.endpoints) {
    const path = endpoint.path.replace(PARAMETER, '{$1}');
    (paths[path] ??= {})[endpoint.method] = writer.operation(endpoint);
  }
  const groups = new Set(api.endpoints.map(({ group }) => group));
  return {
    openapi: '3.1.0',
    info: {
      title: settings.APP_NAME,
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: [
        'Creates and manages SIP accounts. Bodies and answers are JSON; an error is `{"message": "…"}`, with `errors` by field where a field is at fault.',
        'Members of a body that are not known are dropped. Spaces around a text do not count (in a password they do), though values that are listed should be sent as they are listed; one that is empty then is `null`, and `null` for an optional member is as if it were absent. Answers may have more members in later releases.',
        'Texts come in English or French, as `accept-language` asks.',
        ...describeSchemes(settings),
        ...describeNamedKeys(settings),
      ].join('\n\n'),
    },
    servers: [{ url: `${settings.APP_URL}/api` }],
    tags: [...groups].map((name) => ({ name, description: api.groups[name] })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(writer.schemas.named).toSorted(([a], [b]) => (a < b ? -1 : 1))),
      responses: writer.responses(),
      requestBodies: {
        Ignored: {
          description: 'Nothing of it is looked at, and it may be absent',
          required: false,
          content: { 'application/json': { schema: orEmptyArray({ type: 'object' }) } },
        },
      },
      headers: HEADERS,
      securitySchemes: schemes,
    },
  };
}
