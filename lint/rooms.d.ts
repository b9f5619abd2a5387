export interface Room {
  paths: string[];
  may: string[];
}
export interface Door {
  room: string;
  path: string;
  open: boolean;
}
export const rooms: Record<string, Room>;
export const doors: Record<string, Door>;
export const packages: Record<string, string[]>;
export const sqlAllowed: string[];
export const elements: string[];
export function mayImport(from: string, to: string): boolean;
export function mayImportPackage(from: string, name: string): boolean;
