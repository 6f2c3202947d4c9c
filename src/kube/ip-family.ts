/** The families of addresses, as the API calls them (pure). */

export type IPFamily = 'IPv4' | 'IPv6'

/** Of an address or a network. */
export const familyOf = (text: string): IPFamily => (text.includes(':') ? 'IPv6' : 'IPv4')
