// The script of ours on the dashboard's page.

/**
 * JavaScript that makes the page's `<base>` absolute, before bull-board's own scripts read it: they take the attribute as it stands for the path
 * under which the dashboard lies.
 */
export const queuesBaseScript = `const base = document.querySelector('base');
base.setAttribute('href', new URL(base.href).pathname);
`;
