/** The formats of strings that schemas may ask for; unknown ones say nothing. */
import { isIP } from 'node:net'
import { parseCidr } from '../cidr.ts'
import { parseTime } from '../time.ts'

const matches = (pattern: RegExp) => (text: string) => pattern.test(text)

const HOST_LABEL = /^[a-zA-Z0-9\u00a1-\uffff]([a-zA-Z0-9\u00a1-\uffff_-]{0,61}[a-zA-Z0-9\u00a1-\uffff])?$/
const HOST_LENGTH_MAX = 255

function isHostname(text: string): boolean {
  if (text.length === 0 || text.length > HOST_LENGTH_MAX) return false
  return text.split('.').every(label => HOST_LABEL.test(label))
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}

function isUri(text: string): boolean {
  if (text.startsWith('/')) return !/\s/.test(text)
  return URL.canParse(text) && !/[\s<>]/.test(text)
}

const DURATION =
  /^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*$/
const LONG_DURATION =
  /^(\d+)\s*(ns|nano|us|µs|micro|ms|milli|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)$/

const isDuration = (text: string): boolean => text === '0' || DURATION.test(text) || LONG_DURATION.test(text)

function isCreditCard(text: string): boolean {
  const digits = text.replace(/[^0-9]/g, '')
  if (digits.length < 12 || digits.length > 19) return false
  let sum = 0
  for (const [index, char] of [...digits].reverse().entries()) {
    const digit = Number(char) * (index % 2 === 1 ? 2 : 1)
    sum += digit > 9 ? digit - 9 : digit
  }
  return sum % 10 === 0
}

function isIsbn10(text: string): boolean {
  const digits = text.replace(/[\s-]/g, '')
  if (!/^\d{9}[\dX]$/.test(digits)) return false
  let sum = 0
  for (const [index, char] of [...digits].entries()) sum += (index + 1) * (char === 'X' ? 10 : Number(char))
  return sum % 11 === 0
}

function isIsbn13(text: string): boolean {
  const digits = text.replace(/[\s-]/g, '')
  if (!/^\d{13}$/.test(digits)) return false
  let sum = 0
  for (const [index, char] of [...digits].entries()) sum += Number(char) * (index % 2 === 0 ? 1 : 3)
  return sum % 10 === 0
}

const uuid = (version: string) =>
  matches(new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$`, 'i'))

const checks: Readonly<Record<string, (text: string) => boolean>> = {
  bsonobjectid: matches(/^[0-9a-fA-F]{24}$/),
  byte: matches(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/),
  cidr: text => parseCidr(text) !== null || isIPv6Cidr(text),
  creditcard: isCreditCard,
  date: isDate,
  'date-time': text => parseTime(text) !== null,
  datetime: text => parseTime(text) !== null,
  duration: isDuration,
  email: matches(/^[^\s@<>]+@[^\s@<>]+$/),
  hexcolor: matches(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  hostname: isHostname,
  ipv4: text => isIP(text) === 4,
  ipv6: text => isIP(text) === 6 && !text.includes('%'),
  isbn: text => isIsbn10(text) || isIsbn13(text),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  mac: matches(/^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$|^([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}$/),
  rgbcolor: matches(/^rgb\(\s*\d{1,3}%?\s*,\s*\d{1,3}%?\s*,\s*\d{1,3}%?\s*\)$/),
  ssn: matches(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  uri: isUri,
  uuid: uuid('[0-9a-f]'),
  uuid3: uuid('3'),
  uuid4: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  uuid5: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
}

function isIPv6Cidr(text: string): boolean {
  const [address = '', bits = ''] = text.split('/')
  return isIP(address) === 6 && /^\d{1,3}$/.test(bits) && Number(bits) <= 128
}

/** True for formats that are unknown. */
export const hasFormat = (text: string, format: string): boolean => checks[format]?.(text) ?? true
