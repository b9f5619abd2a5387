// JSON Schema (2020-12) of Joi schemas: what an endpoint takes and gives, as its document says it. Joi's own converter knows neither that unknown
// members of a body are dropped, nor that null and an empty text are absent, nor that spaces around a text are taken off before it looks.
import type Joi from 'joi';

export type Json = Record<string, unknown>;

/** Where a value stands. In a body, spaces around texts are taken off, and what is blank then is null; in a query, what is empty is absent. */
export type Place = 'body' | 'query' | 'path' | 'answer';

/** What a schema may say of itself with `meta()`. */
interface Meta {
  /** JSON Schema of a rule that Joi cannot show; its members go before those made of Joi's rules. */
  json?: Json;
  /** The name under which all that use the schema refer to it. */
  name?: string;
  /** The named schema that this one was made of, and the members that it has of its own. */
  base?: { schema: () => Joi.Schema; own: string[] };
}

interface Description {
  type?: string;
  flags?: { presence?: string; only?: boolean; default?: unknown; description?: string; empty?: { allow?: unknown[] } };
  allow?: unknown[];
  rules?: { name: string; args?: { limit?: number; regex?: string } }[];
  metas?: Meta[];
  keys?: Record<string, Description>;
  patterns?: { rule: Description }[];
  items?: Description[];
}

/** A meta is about the schema that it was given to, not about those made of it later: the last one of a kind counts. */
const metaOf = <Name extends keyof Meta>({ metas = [] }: Description, name: Name): Meta[Name] =>
  metas.findLast((meta) => meta[name] !== undefined)?.[name];

const isRequired = ({ flags }: Description): boolean => flags?.presence === 'required';

/** Whether null stands for itself, or for a member that is absent. */
const takesNull = (description: Description): boolean =>
  description.allow?.includes(null) === true || (!isRequired(description) && description.flags?.empty?.allow?.includes(null) === true);

/** A pattern that also fits the same text with spaces around it. */
function padded(pattern: string, mayBeBlank: boolean): string {
  const inner = /^\^(.*)\$$/s.exec(pattern)?.[1];
  if (inner === undefined) return mayBeBlank ? `^\\s*$|${pattern}` : pattern;
  return `^\\s*(?:${inner})${mayBeBlank ? '?' : ''}\\s*$`;
}

/** The same, where nothing is accepted, too: null, an empty text. */
function orNothing({ description, default: fallback, ...json }: Json, nothing: readonly (null | '')[]): Json {
  const { enum: values, type, minLength, ...rest } = json;
  const words = { ...(description === undefined ? {} : { description }), ...(fallback === undefined ? {} : { default: fallback }) };
  const types = [type ?? []].flat() as string[];
  const wider = [...types, ...(nothing.includes(null) ? ['null'] : [])];
  const typed = types.length === 0 ? {} : { type: wider.length === 1 ? wider[0] : wider };
  if (Array.isArray(values)) return { ...rest, ...words, ...typed, enum: [...(values as unknown[]), ...nothing] };
  const hasBlank = nothing.includes('');
  if (types.length === 0 || types.includes('object') || (hasBlank && !types.includes('string')))
    return { ...words, anyOf: [json, ...nothing.map((value) => (value === null ? { type: 'null' } : { const: value }))] };
  return { ...rest, ...words, ...typed, ...(hasBlank || minLength === undefined ? {} : { minLength }) };
}

/** Makes JSON Schemas, and keeps those that have names. */
export class SchemaWriter {
  /** Named schemas, as `components.schemas` has them. */
  readonly named: Record<string, Json> = {};

  /** The schema of a value; a reference where it has a name. @throws where two different schemas have one name */
  of(schema: Joi.Schema, place: Place): Json {
    return this.#written(schema.describe(), place);
  }

  /** The members of an object, each with its schema. */
  membersOf(schema: Joi.ObjectSchema, place: Place): [name: string, json: Json, description: string | undefined][] {
    const { keys = {} } = schema.describe() as Description;
    return Object.entries(keys).map(([name, member]) => {
      const { description, ...json } = this.#written(member, place);
      return [name, json, description as string | undefined];
    });
  }

  #written(description: Description, place: Place): Json {
    const name = metaOf(description, 'name');
    const json = name === undefined ? this.#inline(description, place) : this.#reference(name, description, place);
    const nothing: (null | '')[] = [];
    if (place !== 'query' && takesNull(description)) nothing.push(null);
    if ((place === 'body' && takesNull(description)) || (place === 'query' && !isRequired(description))) nothing.push('');
    const pattern = json['pattern'];
    const isPadded = place === 'body' || place === 'query';
    const fitted = isPadded && typeof pattern === 'string' ? { ...json, pattern: padded(pattern, nothing.includes('')) } : json;
    return nothing.length === 0 ? fitted : orNothing(fitted, nothing);
  }

  #reference(name: string, description: Description, place: Place): Json {
    const json = this.#named(description, place);
    const known = this.named[name];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(json)) throw new Error(`Two schemas have the name ${name}`);
    this.named[name] = json;
    return { $ref: `#/components/schemas/${name}` };
  }

  #named(description: Description, place: Place): Json {
    const base = metaOf(description, 'base');
    if (!base) return this.#inline(description, place);
    const keys = Object.entries(description.keys ?? {});
    const schema = base.schema();
    const inherited = Object.keys((schema.describe() as Description).keys ?? {});
    const known = new Set([...inherited, ...base.own]);
    if (keys.length !== known.size) throw new Error(`Made of ${metaOf(description, 'name')}, and has no name of its own`);
    const own = Object.fromEntries(keys.filter(([key]) => base.own.includes(key)));
    return { allOf: [this.of(schema, place), this.#object({ keys: own }, place)] };
  }

  #inline(description: Description, place: Place): Json {
    const { default: fallback, description: words } = description.flags ?? {};
    const hasDefault = fallback !== undefined && fallback !== null && typeof fallback !== 'function';
    const json: Json = { ...this.#typed(description, place), ...metaOf(description, 'json') };
    if (words !== undefined) json['description'] = words;
    // One that is empty is null, and null is none.
    if (place === 'body' && json['type'] === 'string' && isRequired(description)) json['minLength'] ??= 1;
    if (hasDefault && place !== 'body') json['default'] = fallback;
    // Where a member has a `default`, openapi-typescript wants clients to send it.
    if (hasDefault && place === 'body')
      json['description'] = [json['description'], `Where absent: ${JSON.stringify(fallback)}`].filter(Boolean).join('. ');
    return json;
  }

  #typed(description: Description, place: Place): Json {
    if (description.type === 'object') return this.#object(description, place);
    if (description.type === 'string') return textOf(description, place);
    if (description.type === 'boolean') return { type: 'boolean' };
    if (description.type === 'number') {
      const isWhole = description.rules?.some(({ name }) => name === 'integer') === true;
      return { type: isWhole ? 'integer' : 'number' };
    }
    if (description.type !== 'array') return {};
    const items = (description.items ?? []).map((item) => this.#written(item, place));
    return { type: 'array', items: items.length === 1 ? items[0] : { anyOf: items } };
  }

  /** Nothing is said of other members: in a body they are dropped, and answers may have more in a later release. */
  #object({ keys = {}, patterns = [] }: Description, place: Place): Json {
    const required = Object.keys(keys).filter((key) => isRequired(keys[key] ?? {}));
    const properties = Object.fromEntries(Object.entries(keys).map(([key, member]) => [key, this.#written(member, place)]));
    const [entries] = patterns;
    return {
      type: 'object',
      ...(required.length === 0 ? {} : { required }),
      ...(Object.keys(keys).length === 0 ? {} : { properties }),
      ...(entries ? { additionalProperties: this.#written(entries.rule, place) } : {}),
    };
  }
}

/** Joi counts UTF-16 code units, JSON Schema characters: never more of them. */
function textOf({ flags = {}, allow = [], rules = [] }: Description, place: Place): Json {
  const texts = allow.filter((value) => typeof value === 'string');
  if (flags.only === true) return { type: 'string', enum: texts };
  const ruleOf = (name: string): NonNullable<Description['rules']>[number] | undefined => rules.find((rule) => rule.name === name);
  const limitOf = (name: string): number | undefined => ruleOf(name)?.args?.limit;
  const length = limitOf('length');
  const minLength = length ?? limitOf('min') ?? (texts.includes('') ? undefined : 1);
  // A body's text may be longer by the spaces around it: there the pattern says how long it is.
  const maxLength = place === 'answer' ? (length ?? limitOf('max')) : limitOf('max');
  const pattern = patternOf(ruleOf('pattern')?.args?.regex, ruleOf('email') !== undefined, place === 'answer' ? undefined : length);
  return {
    type: 'string',
    ...(minLength === undefined ? {} : { minLength }),
    ...(maxLength === undefined ? {} : { maxLength }),
    ...(pattern === undefined ? {} : { pattern }),
    ...(ruleOf('uri') ? { format: 'uri' } : {}),
  };
}

/** @param regex `/source/flags`; JSON Schema has no flags */
function patternOf(regex: string | undefined, isEmail: boolean, length: number | undefined): string | undefined {
  const [, source, flags] = /^\/(.*)\/(\w*)$/s.exec(regex ?? '') ?? [];
  if (source !== undefined && flags === '') return source;
  // The format `email` of validators knows fewer addresses than RFC 6532 and mail servers do.
  if (isEmail) return '@';
  return length === undefined ? undefined : `^\\S.{${length - 2}}\\S$`;
}
