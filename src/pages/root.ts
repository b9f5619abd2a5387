// How pages name each other: from where they themselves are. `web` cannot know by which address it was opened, since a front may cut a prefix
// off the path (https://host/flexiapi/statistics arrives as /statistics) while others come to it directly. A browser resolves what is relative
// against the address that it shows (RFC 3986, section 5.2), so one page suits both, whatever APP_URL says.
import type { Request } from 'express';

/**
 * The server's root as a relative reference from the address of a request, without a slash at its end: `.` on /statistics, `../..` on
 * /queues/queue/push. `${rootOf(request)}/api` is the address of /api there.
 */
export function rootOf(request: Request): string {
  const [path = ''] = request.originalUrl.split('?');
  const folders = path.split('/').length - 2;
  return folders < 1 ? '.' : Array.from({ length: folders }, () => '..').join('/');
}
