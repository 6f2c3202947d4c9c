/** Addresses that mean something on one link only. */

const LINK_LOCAL = /^(169\.254\.|fe[89ab])/i

/** Of 169.254.0.0/16 or fe80::/10. */
export const isLinkLocal = (address: string): boolean => LINK_LOCAL.test(address)
