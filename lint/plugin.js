// Lint rules of our own, for what no plugin has, and one of another's under two names.
const jsdoc = require('eslint-plugin-jsdoc');
const { linearPattern } = require('./linear-pattern');

// The patterns read a text whose white space is single spaces, one of them at either end, and whose parentheses are empty.
const UPPER = [
  /[ (]SELECT /,
  / INSERT INTO /,
  / DELETE FROM /,
  / (CREATE|ALTER|DROP|TRUNCATE|COMMENT ON) (UNIQUE |TEMP |TEMPORARY )?(TABLE|DATABASE|INDEX|VIEW|TYPE|SCHEMA|ROLE|EXTENSION|SEQUENCE)\b/,
  /^ (WHERE|ORDER BY|GROUP BY|HAVING|RETURNING|ON CONFLICT|VALUES ?\(|(INNER|LEFT|RIGHT|FULL|CROSS) JOIN)\b/,
  /^ VALUES ?\(/,
  /^ (COMMIT|ROLLBACK|BEGIN ?;|START TRANSACTION|LOCK TABLE |VACUUM|LISTEN |NOTIFY |SET (LOCAL|SESSION) |COPY |EXPLAIN )/,
];

/** `UPDATE … SET`, whatever stands between. */
function isUpdate(text) {
  const update = text.indexOf(' UPDATE ');
  return update >= 0 && text.includes(' SET ', update);
}

/** `with x (a, b) as (`, from the word behind `with` on. */
function isCommonTable(words, keyword = (word) => word) {
  const rest = words.filter((word) => ![keyword('recursive'), keyword('not'), keyword('materialized'), '()'].includes(word));
  return rest[1] === keyword('as') && (rest[2] ?? words.at(-1)).startsWith('(');
}
const capitals = (word) => word.toUpperCase();
const hasCommonTable = (words) =>
  words.some((word, index) => word === 'WITH' && isCommonTable(words.slice(index + 1, index + 8), capitals)) ||
  (words[0] === 'with' && isCommonTable(words.slice(1, 8)));

const TABLE = /^[\w."$]+[;,)]?$/;
const COLUMN = /^ ?(\*|[\w."$]+(\(\))?(::\w+)?( as \w+)?) ?$/;
const AFTER_TABLE = new Set([undefined, ';', ',', ')', 'where', 'order', 'group', 'limit', 'for', 'join']);
const AFTER_DELETE = new Set([undefined, ';', 'where', 'using', 'returning']);
const AFTER_OBJECT = new Set([
  undefined,
  ';',
  'add',
  'drop',
  'alter',
  'rename',
  'as',
  'on',
  'with',
  'template',
  'owner',
  'cascade',
  'column',
]);
const OBJECTS = new Set(['table', 'database', 'index', 'view', 'type', 'schema']);
const isList = (word = '') => word.startsWith('(');

/** Statements in small letters, by their first word: what follows is their grammar, and no sentence goes on like that. */
const LOWER = {
  select: (words) => {
    const from = words.indexOf('from');
    if (from < 0) return words.length === 2 && /^(\d+|\w+\(\));?$/.test(words[1]);
    const columns = words.slice(words[1] === 'distinct' ? 2 : 1, from).join(' ');
    const [table = '', next, second] = words.slice(from + 1);
    const goesOn = AFTER_TABLE.has(next) || second === 'join' || /[;,)]$/.test(table);
    return TABLE.test(table) && goesOn && columns.split(',').every((column) => COLUMN.test(column));
  },
  insert: ([, into, table = '', next = '']) =>
    into === 'into' && (table.endsWith('()') || isList(next) || /^(values|select|default)\b/.test(next)),
  update: (words) => {
    const set = words[2] === 'as' ? 4 : 2;
    return words[set] === 'set' && (words[set + 1]?.includes('=') || words[set + 2]?.startsWith('='));
  },
  delete: ([, from, table = '', next]) => from === 'from' && TABLE.test(table) && AFTER_DELETE.has(next),
  create: (words) => {
    const rest = words.slice(1).filter((word) => !['unique', 'temp', 'temporary', 'if', 'not', 'exists'].includes(word));
    const [object, name = '', next] = rest;
    return OBJECTS.has(object) && /^[\w."$]+(\(\))?;?$/.test(name) && (AFTER_OBJECT.has(next) || isList(next) || name.endsWith('()'));
  },
};
LOWER.alter = LOWER.drop = LOWER.truncate = LOWER.create;

/**
 * Whether a text is a statement, or a clause of one. Statements have their keywords in capitals, which sentences never have; in small letters a
 * statement is one only where what follows the keyword is its grammar («select a file from the list» has two words before «from», and goes on).
 * A sentence begins with one capital («Select …»), which is neither.
 */
function isSql(text) {
  const line = ` ${text.replace(/\s+/g, ' ').trim()} `;
  const plain = line.replace(/\([^()]*\)/g, '()');
  const words = plain.trim().split(' ');
  const lower = Object.hasOwn(LOWER, words[0]) && LOWER[words[0]](words) === true;
  return lower || isUpdate(line) || hasCommonTable(words) || UPPER.some((pattern) => pattern.test(plain));
}

const noSql = {
  meta: { type: 'problem', docs: { description: 'No SQL, and no way to it, outside of models and migrations' } },
  create(context) {
    const check = (node, text) => {
      if (isSql(text))
        context.report({ node, message: 'SQL stands in src/models and src/migrations alone: make it a method of the model.' });
    };
    return {
      Literal(node) {
        if (typeof node.value === 'string') check(node, node.value);
      },
      TemplateLiteral(node) {
        check(node, node.quasis.map(({ value }) => value.cooked ?? value.raw).join('$0'));
      },
      MemberExpression({ property, computed }) {
        const name = computed ? property.value : property.name;
        if (name === 'sequelize')
          context.report({ node: property, message: 'The connection of a model is for src/models alone: make it a method of the model.' });
      },
    };
  },
};

/** What a specifier names must be there to be read: rules about imports see nothing in a name that is put together. */
const literalSpecifier = {
  meta: { type: 'problem', docs: { description: 'import() and require() name what they load in a string' } },
  create(context) {
    const check = (node) => {
      if (node && !(node.type === 'Literal' && typeof node.value === 'string'))
        context.report({ node, message: 'Name the module in a string: the rules about imports cannot see what is put together.' });
    };
    return {
      ImportExpression: ({ source }) => check(source),
      CallExpression({ callee, arguments: [first] }) {
        const isRequire = callee.type === 'Identifier' && callee.name === 'require';
        const isResolve =
          callee.type === 'MemberExpression' &&
          callee.object.type === 'Identifier' &&
          callee.object.name === 'require' &&
          callee.property.name === 'resolve';
        if (isRequire || isResolve) check(first);
      },
    };
  },
};

// A rule has one set of options, and with `publicOnly` this one looks at no methods.
const requireJsdoc = (jsdoc.default ?? jsdoc).rules['require-jsdoc'];

const noImportType = {
  meta: { type: 'problem', docs: { description: 'No import() of our own files as a type' } },
  create: (context) => ({
    TSImportType(node) {
      const { value } = node.source ?? node.argument.literal ?? node.argument;
      if (String(value).startsWith('.'))
        context.report({ node, message: 'Write an `import type`: import/no-cycle does not follow this one.' });
    },
  }),
};

module.exports = {
  meta: { name: 'own' },
  rules: {
    'no-sql': noSql,
    'linear-pattern': linearPattern,
    'literal-specifier': literalSpecifier,
    'no-import-type': noImportType,
    'documented-functions': requireJsdoc,
    'documented-methods': requireJsdoc,
  },
};
