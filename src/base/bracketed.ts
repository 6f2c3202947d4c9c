/** Addresses as they stand before a port or in a URL. */

/** IPv6 in square brackets; IPv4 and names as they are. */
export const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address)

/** The address or name out of `URL.hostname`, without brackets. */
export const unbracketed = (host: string): string => host.replace(/^\[(.*)\]$/, '$1')
