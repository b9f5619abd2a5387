// Bounds of what is said of a machine's key, by whatever way: figures alone, so that the help of the command line loads no more.

/** Of its name. */
export const MAX_KEY_NAME_CHARACTERS = 64;
/** Each is looked at with every request of the key. */
export const MAX_KEY_RANGES = 100;
/** A key unused for longer ends earlier, or never. */
export const MAX_UNUSED_MINUTES = 10 * 365 * 24 * 60;
/** Longer, and there are two keys. */
export const MAX_GRACE_MINUTES = 365 * 24 * 60;
