// Ceiling: as express-pg, a page of accounts: the caller, how many there are, then the twenty of the page.
import { createServer } from 'node:http';
import express from 'express';
import { serve } from './serve';
import { type AccountRow, ACCOUNTS, dates, findCaller, pool, present } from './statements';

const PER_PAGE = 20;
const PAGE = `${ACCOUNTS} WHERE a.id IN (SELECT id FROM accounts WHERE domain = $1 ORDER BY id LIMIT ${PER_PAGE} OFFSET $2) ORDER BY a.id`;

const app = express();
app.get('/api/accounts', async (request, response) => {
  const caller = await findCaller(request.get('x-api-key'));
  if (!caller?.admin) return void response.sendStatus(401);
  const page = Number(request.query['page'] ?? 1);
  const { domain } = caller;
  const [counted, found] = await Promise.all([
    pool.query<{ total: number }>({
      name: 'total',
      text: 'SELECT count(*)::integer AS total FROM accounts WHERE domain = $1',
      values: [domain],
    }),
    pool.query<AccountRow>({ name: 'page', text: PAGE, values: [domain, (page - 1) * PER_PAGE] }),
  ]);
  const total = counted.rows[0]?.total ?? 0;
  const last = Math.max(1, Math.ceil(total / PER_PAGE));
  const path = 'http://localhost/api/accounts';
  const url = (number: number): string => `${path}?page=${number}`;
  const [previous, next] = [page > 1 ? url(page - 1) : null, page < last ? url(page + 1) : null];
  response.json({
    current_page: page,
    data: found.rows.map((row) => ({ ...present(row), phone_change_code: dates(row.phone_change_code) })),
    first_page_url: url(1),
    from: (page - 1) * PER_PAGE + 1,
    last_page: last,
    last_page_url: url(last),
    links: [
      { url: previous, label: '&laquo; Previous', active: false },
      ...Array.from({ length: Math.min(last, 10) }, (_, index) => ({
        url: url(index + 1),
        label: `${index + 1}`,
        active: index + 1 === page,
      })),
      { url: next, label: 'Next &raquo;', active: false },
    ],
    next_page_url: next,
    path,
    per_page: PER_PAGE,
    prev_page_url: previous,
    to: (page - 1) * PER_PAGE + found.rows.length,
    total,
  });
});
serve(createServer(app));
