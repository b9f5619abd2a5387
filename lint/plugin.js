// Lint rules of our own, for what no plugin has, and one of another's under two names.
const jsdoc = require('eslint-plugin-jsdoc');

const UPPER = [
  /(^|[\s(])SELECT\s/,
  /(^|\s)INSERT\s+INTO\s/,
  /(^|\s)UPDATE\s[\s\S]*\sSET\s/,
  /(^|\s)DELETE\s+FROM\s/,
  /(^|\s)WITH\s+(RECURSIVE\s+)?[\w"]+\s*(\([^)]*\)\s*)?AS\s+((NOT\s+)?MATERIALIZED\s+)?\(/,
  /(^|\s)(CREATE|ALTER|DROP|TRUNCATE|COMMENT\s+ON)\s+(UNIQUE\s+|TEMP(ORARY)?\s+)?(TABLE|DATABASE|INDEX|VIEW|TYPE|SCHEMA|ROLE|EXTENSION|SEQUENCE)\b/,
  /^\s*(WHERE|ORDER\s+BY|GROUP\s+BY|HAVING|RETURNING|ON\s+CONFLICT|VALUES\s*\(|(INNER|LEFT|RIGHT|FULL|CROSS)\s+JOIN)\b/,
  /^\s*(COMMIT|ROLLBACK|BEGIN\s*;|START\s+TRANSACTION|LOCK\s+TABLE\s|VACUUM|LISTEN\s|NOTIFY\s|SET\s+(LOCAL|SESSION)\s|COPY\s|EXPLAIN\s)/,
];

const ITEM = String.raw`(\*|[\w."$]+(\([^()]*\))?(::\w+)?(\s+as\s+\w+)?)`;
const LOWER = [
  // A list of columns, a table, and then the end or a clause: no sentence goes on like that.
  new RegExp(
    String.raw`^\s*select\s+(distinct\s+)?${ITEM}(\s*,\s*${ITEM})*\s+from\s+[\w."]+\s*($|;|,|\)|where\s|order\s+by\s|group\s+by\s|limit\s|(\w+\s+)?join\s|for\s+update)`,
  ),
  /^\s*select\s+(\d+|\w+\([^()]*\))\s*;?\s*$/,
  /^\s*insert\s+into\s+[\w."]+\s*(\(|values\b|select\b|default\b)/,
  /^\s*update\s+[\w."]+\s+(as\s+\w+\s+)?set\s+[\w."]+\s*=/,
  /^\s*delete\s+from\s+[\w."]+\s*($|;|where\s|using\s|returning\s)/,
  /^\s*with\s+(recursive\s+)?\w+\s*(\([^)]*\)\s*)?as\s+((not\s+)?materialized\s+)?\(/,
  /^\s*(create|alter|drop|truncate)\s+(unique\s+|temp(orary)?\s+)?(table|database|index|view|type|schema)\s+(if\s+(not\s+)?exists\s+)?[\w."$]+\s*($|;|\(|(add|drop|alter|rename|as|on|with|template|owner|cascade|column)\s)/,
];

/**
 * Whether a text is a statement, or a clause of one. Statements have their keywords in capitals, which sentences never have; in small letters a
 * statement is one only where what follows the keyword is its grammar («select a file from the list» has two words before «from», and goes on).
 * A sentence begins with one capital («Select …»), which is neither.
 */
const isSql = (text) => UPPER.some((pattern) => pattern.test(text)) || LOWER.some((pattern) => pattern.test(text));

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
    'literal-specifier': literalSpecifier,
    'no-import-type': noImportType,
    'documented-functions': requireJsdoc,
    'documented-methods': requireJsdoc,
  },
};
