// What bull-board shows and has no option to leave out.
import { QUEUE_NAMES } from '../queues/contracts';
import { isSending } from './board-rules';

const titles = QUEUE_NAMES.filter((name) => !isSending(name)).map((name) => `[title="${name}"]`);

/**
 * Hides the buttons of what nobody may do to a queue that sends (board-rules.ts): «Add job» and «Obliterate» of its menu, and of its jobs «Duplicate», «Update
 * data», «Reschedule», «Change priority» and «Remove unprocessed children». They are shown on pages whose heading is another queue: a menu on the overview does
 * not say whose it is. By their icons, since their texts are of the reader's language.
 */
export const queuesStyle = `body:not(:has(h1:is(${titles.join(', ')}))) :is(
  [role="menuitem"]:has(> :is(.lucide-plus, .lucide-ban)),
  li:has(> span > button > :is(.lucide-files, .lucide-pencil, .lucide-clock, .lucide-arrow-up-down, .lucide-list-x))
) {
  display: none;
}
`;
