// The check that every answer passes notices what is wrong.
import { endpoints } from '../../src/api';
import { commonAnswersOf, contentTypeOf, openApiDocument } from '../../src/http/openapi';
import { parseSettings } from '../../config/settings';
import { faultsOf, type SeenAnswer } from '../helpers/contract';

const JSON_TYPE = 'application/json';
const seen = (change: Partial<SeenAnswer>): string[] =>
  faultsOf({ method: 'GET', url: '/api/ping', status: 200, contentType: 'text/plain; charset=utf-8', text: 'pong', ...change });
const entry = (body: unknown, status = 200): string[] =>
  seen({ url: 'http://127.0.0.1/api/accounts/1/dictionary/key?x=1', status, contentType: JSON_TYPE, text: JSON.stringify(body) });

test('an answer as declared has no fault', () => {
  expect(seen({})).toEqual([]);
  expect(entry({ value: 'v' })).toEqual([]);
  expect(entry({ message: 'No.' }, 404)).toEqual([]);
  expect(entry({ message: 'No.', errors: { id: ['No.'] } }, 422)).toEqual(['status 422 is not declared']);
  expect(seen({ method: 'HEAD', text: '' })).toEqual([]);
  expect(seen({ url: '/health/live', status: 299 })).toEqual([]);
});

test('status, content type and body are looked at; nothing may be missing, other, or more', () => {
  expect(seen({ text: 'pang' })).toEqual(['"value" must be [pong]']);
  expect(seen({ contentType: 'text/plain' })).toEqual(['content type text/plain instead of text/plain; charset=utf-8']);
  expect(entry({})).toEqual(['"value" is required']);
  expect(entry({ value: 1 })).toEqual(['"value" must be a string']);
  expect(entry({ value: 'v', more: 1 })).toEqual(['"more" is not allowed']);
  expect(entry({ value: 'v' }, 201)).toEqual(['status 201 is not declared']);
  expect(entry({ message: 'No.' }, 500)).toEqual(['the server failed']);
  expect(entry({ error: 'No.' }, 404)).toEqual(['"message" is required', '"error" is not allowed']);
  expect(seen({ url: '/api/nothing', status: 200 })).toEqual(['no endpoint, and yet 200']);
  expect(seen({ method: 'POST', status: 405, contentType: JSON_TYPE, text: '{"message":"No."}' })).toEqual([]);
  expect(seen({ method: 'HEAD', status: 201, text: '' })).toEqual(['status 201 is not declared']);
});

test('the document names for each endpoint what its own list and the machinery may answer, with its content type', () => {
  interface Operation {
    responses: Record<string, { content: object }>;
  }
  const paths = openApiDocument(endpoints, parseSettings({}), '1.0.0')['paths'] as Record<string, Record<string, Operation>>;
  for (const endpoint of endpoints) {
    const { responses } = paths[endpoint.path.replace(/:(\w+)/g, '{$1}')]?.[endpoint.method] ?? { responses: {} };
    expect(Object.keys(responses)).toEqual([...new Set(Object.keys({ ...commonAnswersOf(endpoint), ...endpoint.answers }))]);
    for (const [status, answer] of Object.entries(endpoint.answers)) {
      const type = typeof answer !== 'string' && answer.schema ? contentTypeOf(answer.schema) : 'application/json';
      expect(Object.keys(responses[status]?.content ?? {})).toContain(type);
    }
  }
});
