// The OpenAPI 3.1 document, made of the endpoints.
import type Joi from 'joi';
import type { Settings } from '../../config';
import { type AnyEndpoint, type Answer, changesAnything } from './route';

type Json = Record<string, unknown>;

interface Description {
  type?: string;
  flags?: { presence?: string };
  metas?: { json?: Json }[];
  keys?: Record<string, Description>;
}

/**
 * JSON Schema 2020-12 of a Joi schema, by Joi itself; fields whose rule is ours bring their own (`meta({ json })`).
 * `and()` is not shown there: the endpoint's description says it.
 */
export function jsonSchema(schema: Joi.Schema, direction: 'input' | 'output' = 'input'): Json {
  const made = schema['~standard'].jsonSchema?.[direction]({ target: 'draft-2020-12' }) as Json;
  return patch(made, schema.describe());
}

function patch(made: Json, description: Description): Json {
  const own = description.metas?.find(({ json }) => json)?.json;
  if (own) return own;
  if (!description.keys) return made;
  const properties = { ...(made['properties'] as Record<string, Json> | undefined) };
  for (const [name, child] of Object.entries(description.keys)) properties[name] = patch(properties[name] ?? {}, child);
  return { ...made, properties };
}

const COMMON_ANSWERS: Record<number, string> = {
  400: 'The path or the body cannot be read: the body is no JSON object',
  401: 'Not authenticated',
  403: 'Blocked, expired space, not the role for it, or a cookie that a browser must not act by here',
  404: 'DIGEST names no account, the endpoint is switched off, or the account was deleted meanwhile',
  406: 'The answer is application/json, which `accept` does not admit',
  413: 'The body is larger than 1 MiB',
  415: 'The body is not application/json',
  422: 'A field is not valid: `errors` names it',
  429: 'Too many requests',
  431: 'A header is too long, or there are too many',
  500: 'A fault of the server',
  503: 'A worker, a provider, Redis or PostgreSQL did not do its part in time',
};

/**
 * What an endpoint may answer besides its own `answers`, since every endpoint passes the same checks before its handler.
 *
 * @returns descriptions by status; each has the shape `shapes.error`
 */
export function commonAnswersOf({ access, params, body, query, oversized, when }: AnyEndpoint): Record<number, string> {
  const isPublic = access === 'public';
  const statuses = [
    400,
    ...(isPublic ? [] : [401, 403]),
    ...(isPublic && !when ? [] : [404]),
    406,
    413,
    415,
    ...(params || body || query || oversized !== undefined ? [422] : []),
    // Of endpoints without a limit by account, too: whoever is not authenticated is limited by address.
    429,
    431,
    500,
    503,
  ];
  return Object.fromEntries(statuses.map((status) => [status, COMMON_ANSWERS[status] ?? '']));
}

/** The content type of the answers that a schema describes: text for a bare string, JSON for all else. */
export const contentTypeOf = (schema: Joi.Schema): 'text/plain' | 'application/json' =>
  schema.type === 'string' ? 'text/plain' : 'application/json';

function responsesOf(endpoint: AnyEndpoint): Json {
  const responses: Json = {};
  const common = commonAnswersOf(endpoint);
  for (const [status, description] of Object.entries(common)) responses[status] = errorResponse(description);
  for (const [status, given] of Object.entries(endpoint.answers)) {
    const { description, schema }: Answer = typeof given === 'string' ? { description: given } : given;
    if (!schema) {
      // What holds for every endpoint holds here, too: a 404 may also be the caller's own account, deleted meanwhile.
      const also = common[Number(status)];
      responses[status] = errorResponse(also === undefined ? description : `${description}. Or: ${also}`);
      continue;
    }
    const json = jsonSchema(schema, 'output');
    const type = contentTypeOf(schema);
    const others = (endpoint.formats ?? [])
      .filter((format) => format !== type)
      .map((format) => [format, { schema: { type: 'string' } }] as const);
    responses[status] = { description, content: { [type]: { schema: json }, ...Object.fromEntries(others) } };
  }
  return responses;
}

const errorResponse = (description: string): Json => ({
  description,
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
});

function parametersOf({ path, params, query }: AnyEndpoint): Json[] {
  const inPath = params ? (jsonSchema(params)['properties'] as Record<string, Json>) : {};
  const inQuery = query ? (jsonSchema(query)['properties'] as Record<string, Json>) : {};
  return [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
      name,
      in: 'path',
      required: true,
      schema: inPath[name] ?? { type: 'string' },
    })),
    ...Object.entries(inQuery).map(([name, schema]) => {
      const flags: { description?: string } | undefined = query?.extract(name).describe().flags;
      return { name, in: 'query', ...(flags?.description === undefined ? {} : { description: flags.description }), schema };
    }),
  ];
}

const CHANGING_GET = 'It changes something, though it is a GET: `HEAD` is not answered.';

function operationOf(endpoint: AnyEndpoint): Json {
  const roles = { public: 'Anybody', user: 'Any account', admin: 'Admins', super_admin: 'Super admins' } as const;
  const isChangingGet = endpoint.method === 'get' && changesAnything(endpoint);
  const name = endpoint.path.replace(/[/:]+/g, '_').replace(/[^A-Za-z0-9_]/g, '_');
  return {
    operationId: `${endpoint.method}${name}`,
    tags: [endpoint.group],
    summary: endpoint.summary,
    description: [endpoint.description, isChangingGet ? CHANGING_GET : undefined, `*Access: ${roles[endpoint.access]}.*`]
      .filter(Boolean)
      .join('\n\n'),
    parameters: parametersOf(endpoint),
    ...(endpoint.body ? { requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(endpoint.body) } } } } : {}),
    responses: responsesOf(endpoint),
    security: endpoint.access === 'public' ? [] : [{ api_key: [] }, { api_key_cookie: [] }, { digest: [] }, { bearer: [] }],
  };
}

/** The authentication schemes, with lines that work when pasted once the name, password, key or token in them is one's own. */
function describeSchemes({ APP_URL, APP_SIP_DOMAIN, ACCOUNT_AUTHENTICATION_BEARER, JWT_RSA_PUBLIC_KEY_PEM }: Settings): string[] {
  const me = `${APP_URL}/api/accounts/me`;
  return [
    '## Authentication',
    'Three schemes; where several are sent, a JSON Web Token goes before a key, and a key before DIGEST.',
    '**API key**, in the header `x-api-key` or the cookie of that name. It is bound to the address it was made from and expires when unused:',
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
export function openApiDocument(endpoints: readonly AnyEndpoint[], settings: Settings, version: string): Json {
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[endpoint.method] = operationOf(endpoint);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: settings.APP_NAME,
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: [
        'Creates and manages SIP accounts. Bodies and answers are JSON; an error is `{"message": "…"}`, with `errors` by field where a field is at fault.',
        'Texts come in English or French, as `accept-language` asks.',
        ...describeSchemes(settings),
      ].join('\n\n'),
    },
    servers: [{ url: `${settings.APP_URL}/api` }],
    tags: [...new Set(endpoints.map(({ group }) => group))].map((name) => ({ name })),
    paths,
    components: {
      schemas: {
        Error: {
          type: 'object',
          required: ['message'],
          properties: {
            message: { type: 'string' },
            errors: { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
          },
        },
      },
      securitySchemes: {
        api_key: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        api_key_cookie: { type: 'apiKey', in: 'cookie', name: 'x-api-key' },
        digest: { type: 'http', scheme: 'digest' },
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
      },
    },
  };
}
