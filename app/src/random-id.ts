/**
 * An id that no other tab makes: 32 hexadecimal digits, 128 random bits.
 * `crypto.randomUUID` would exist in secure contexts only, and a page that is
 * opened at an address of the LAN over plain HTTP is none.
 */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
