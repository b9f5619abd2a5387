// A regular expression takes time in proportion to the text it reads: recheck judges each one that stands in the program, with the strings that such a
// text would have. «polynomial» is refused like «exponential»: a header of 16 kB squared is a tenth of a second, a body of 1 MB squared is minutes.
process.env.RECHECK_BACKEND ??= 'pure';
const { runInNewContext } = require('node:vm');
const { checkSync } = require('recheck');

const TIMEOUT_MS = 30_000;
/** Without one a pattern reads a bounded number of characters at each place. Escaped ones cost a needless check, no more. */
const UNBOUNDED = /[*+]|\{\d+,\}/;

const verdicts = new Map();

/** What is wrong with a pattern; undefined where nothing is. */
function faultOf(source, flags) {
  if (!UNBOUNDED.test(source)) return undefined;
  const name = `/${source}/${flags}`;
  if (!verdicts.has(name)) verdicts.set(name, judge(source, flags));
  return verdicts.get(name);
}

/** What an attack that recheck made takes where the pattern is not linear is seconds; where it is, some milliseconds. */
const ATTACK_MS = 200;
const TRIES = 3;

/** Whether a pattern takes long for a text, by the time of the CPU that it had: a busy machine takes none of it away. */
function takesLong(source, flags, text) {
  // eslint-disable-next-line own/linear-pattern -- what it may cost is just what is tried out, for a bounded time
  const pattern = new RegExp(source, flags.replace(/[gy]/g, ''));
  const taken = Array.from({ length: TRIES }, () => {
    const before = process.cpuUsage();
    try {
      runInNewContext('pattern.test(text)', { pattern, text }, { timeout: 10 * ATTACK_MS });
    } catch {
      return Infinity;
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return Math.min(...taken) > ATTACK_MS;
}

function judge(source, flags) {
  const { status, complexity, attack, checker, error } = checkSync(source, flags, { timeout: TIMEOUT_MS });
  if (status === 'safe') return undefined;
  // Patterns that look back are tried out by recheck, for as long as a clock says: on a busy machine it takes linear ones for others.
  if (status === 'vulnerable' && checker === 'fuzz' && !takesLong(source, flags, attack.string)) return undefined;
  if (status === 'vulnerable') return `its time is ${complexity.summary}, with a text like ${attack.pattern}`;
  return `it cannot be judged (${error.kind})`;
}

/** The variable of a name, as seen from a node. */
function findVariable(context, node) {
  for (let scope = context.sourceCode.getScope(node); scope; scope = scope.upper) {
    const found = scope.set.get(node.name);
    if (found) return found;
  }
  return undefined;
}

const isStringRaw = ({ type, object, property }) =>
  type === 'MemberExpression' && object.type === 'Identifier' && object.name === 'String' && property.name === 'raw';

/** The text that an expression of constants stands for; undefined where it is none. */
function textOf(context, node) {
  const join = (parts) => (parts.every((part) => part !== undefined) ? parts.join('') : undefined);
  const template = ({ quasis, expressions }, which) =>
    join(quasis.flatMap(({ value }, index) => [value[which], ...(expressions[index] ? [textOf(context, expressions[index])] : [])]));
  switch (node?.type) {
    case 'Literal':
      return node.regex ? node.regex.pattern : typeof node.value === 'string' ? node.value : undefined;
    case 'TemplateLiteral':
      return template(node, 'cooked');
    case 'TaggedTemplateExpression':
      return isStringRaw(node.tag) ? template(node.quasi, 'raw') : undefined;
    case 'BinaryExpression':
      return node.operator === '+' ? join([textOf(context, node.left), textOf(context, node.right)]) : undefined;
    case 'MemberExpression':
      return node.property.name === 'source' ? textOf(context, node.object) : undefined;
    case 'Identifier': {
      const [definition, ...more] = findVariable(context, node)?.defs ?? [];
      const isConstant = definition?.type === 'Variable' && definition.parent.kind === 'const' && more.length === 0;
      return isConstant ? textOf(context, definition.node.init) : undefined;
    }
    default:
      return undefined;
  }
}

const UNREADABLE = 'Make this regular expression of constants in this file: nobody can judge what is put together while the program runs.';
const WITH_PATTERN = new Set(['match', 'matchAll', 'search']);

const linearPattern = {
  meta: { type: 'problem', docs: { description: 'Regular expressions take time in proportion to the text' } },
  create(context) {
    const check = (node, source, flags) => {
      const fault = faultOf(source, flags);
      if (fault !== undefined) context.report({ node, message: `This regular expression may stop the process: ${fault}.` });
    };
    const made = (node) => {
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'RegExp') return;
      const [source, flags] = node.arguments;
      const [text, letters] = [textOf(context, source), flags === undefined ? '' : textOf(context, flags)];
      if (text === undefined || letters === undefined) context.report({ node, message: UNREADABLE });
      else check(node, text, letters);
    };
    return {
      Literal(node) {
        if (node.regex) check(node, node.regex.pattern, node.regex.flags);
      },
      NewExpression: made,
      CallExpression(node) {
        made(node);
        // These make a regular expression of a text.
        const { callee, arguments: [first] = [] } = node;
        const isSearch = callee.type === 'MemberExpression' && WITH_PATTERN.has(callee.property.name);
        if (isSearch && first?.type === 'Literal' && typeof first.value === 'string') check(first, first.value, '');
      },
    };
  },
};

module.exports = { linearPattern };
