/** Digests in hexadecimal, by the crypto API that every runtime of the edge has. */

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const encoder = new TextEncoder();

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

export async function sha256Hex(text: string): Promise<string> {
  return await digestHex("SHA-256", text);
}

export async function digestHex(algorithm: "SHA-1" | "SHA-256", text: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest(algorithm, encoder.encode(text))));
}
