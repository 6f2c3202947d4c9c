/**
 * What is wanted of S3's XML answers (pure): the text of elements by name. They have no attributes that matter, no
 * comments, and no element inside one of the same name.
 */

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

/** The insides of all elements of that name, as they stand. */
export function elements(xml: string, name: string): string[] {
  const pattern = new RegExp(`<${name}(?:\\s[^>]*)?>([^]*?)</${name}>`, 'g')
  return [...xml.matchAll(pattern)].map(match => match[1] ?? '')
}

/** The text of the first element of that name; undefined when there is none. */
export function textOf(xml: string, name: string): string | undefined {
  const [inside] = elements(xml, name)
  return inside === undefined ? undefined : decodeEntities(inside.trim())
}

export const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const decodeEntities = (text: string): string =>
  text.replaceAll(/&(#x[0-9a-fA-F]{1,6}|#[0-9]{1,7}|[a-z]+);/g, (whole, name: string) => {
    if (!name.startsWith('#')) return entities[name] ?? whole
    const point = name[1] === 'x' ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole
  })
