export const ROOT: string;
export const BUN: string;
export function installPackages(needed: { readonly development: boolean }): boolean;
