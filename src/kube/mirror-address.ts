/**
 * The mirror of an IPv4 address in 127.0.0.0/8, where the `process` runtime's pods and services live: every Linux
 * host answers there without privileges. ARCHITECTURE, "The process runtime's network".
 */

/** `10.1.0.7` → `127.1.0.7`; those of IPv6 have none, and stay as they are. */
export function mirrorOf(address: string): string {
  if (address.includes(':')) return address
  return `127.${address.split('.').slice(1).join('.')}`
}
