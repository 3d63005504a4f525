namespace MedVlm.Datasets;

/// <summary>
/// Checks what a parquet file says of its own structure (footer and page headers, in Thrift's compact protocol) before Parquet.Net reads it, whose
/// reader of that protocol believes counts, and can be kept busy for ever by a few bytes.
/// </summary>
/// <remarks>
/// A known field must be of its kind (parquet.thrift of apache/parquet-format), or the two readers would see different structures; an unknown one is
/// walked over. Counts and lengths must fit the bytes that there are, and booleans in lists, which parquet's footer has none of, are refused.
/// </remarks>
internal static class ParquetStructure
{
    const int DeepestNesting = 16;

    // Kinds of the compact protocol: one bit for each, since a boolean has two.
    enum Kind { Boolean = 1 << 1 | 1 << 2, Byte = 1 << 3, I16 = 1 << 4, I32 = 1 << 5, I64 = 1 << 6, Binary = 1 << 8, List = 1 << 9, Struct = 1 << 12 }

    /// <summary>A field: its kind, of a list the kind of its elements, and their structure.</summary>
    readonly record struct Field(Kind Kind, Kind Element, string? Of);

    /// <summary>The structures, as "number kind": ? boolean, c byte, h i16, i i32, l i64, b binary, {S structure, [k list.</summary>
    static readonly Dictionary<string, Dictionary<int, Field>> s_structures = new()
    {
        ["File"] = Parse("1i 2[{Schema 3l 4[{Row 5[{KeyValue 6b 7[{Order"),
        ["Schema"] = Parse("1i 2i 3i 4b 5i 6i 7i 8i 9i 10{Logical"),
        ["Logical"] = Parse("1{Empty 2{Empty 3{Empty 4{Empty 5{Decimal 6{Empty 7{Time 8{Time 10{Integer 11{Empty 12{Empty 13{Empty 14{Empty 15{Empty 16{Byte 17{Geo 18{Geo"),
        ["Decimal"] = Parse("1i 2i"),
        ["Time"] = Parse("1? 2{Unit"),
        ["Unit"] = Parse("1{Empty 2{Empty 3{Empty"),
        ["Integer"] = Parse("1c 2?"),
        ["Byte"] = Parse("1c"),
        ["Geo"] = Parse("1b 2i"),
        ["Empty"] = Parse(""),
        ["Order"] = Parse("1{Empty 2{Empty"),
        ["KeyValue"] = Parse("1b 2b"),
        ["Row"] = Parse("1[{Column 2l 3l 4[{Sorting 5l 6l 7h"),
        ["Sorting"] = Parse("1i 2? 3?"),
        ["Column"] = Parse("1b 2l 3{Meta 4l 5i 6l 7i"),
        ["Meta"] = Parse("1i 2[i 3[b 4i 5l 6l 7l 8[{KeyValue 9l 10l 11l 12{Statistics 13[{Encoding 14l 15i 16{Sizes"),
        ["Statistics"] = Parse("1b 2b 3l 4l 5b 6b 7? 8?"),
        ["Encoding"] = Parse("1i 2i 3i"),
        ["Sizes"] = Parse("1l 2[l 3[l"),
        ["Page"] = Parse("1i 2i 3i 4i 5{DataPage 6{Empty 7{DictionaryPage 8{DataPage2"),
        ["DataPage"] = Parse("1i 2i 3i 4i 5{Statistics"),
        ["DictionaryPage"] = Parse("1i 2i 3?"),
        ["DataPage2"] = Parse("1i 2i 3i 4i 5i 6i 7? 8{Statistics"),
    };

    /// <summary>A page, as its header announces it.</summary>
    /// <param name="HeaderLength">Bytes of the header.</param>
    /// <param name="Length">Bytes after it, as they lie in the file.</param>
    /// <param name="UncompressedLength">Bytes that they become.</param>
    /// <param name="Values">Values in it, of a dictionary the entries.</param>
    /// <param name="IsDictionary">Whether it is a dictionary.</param>
    public readonly record struct Page(int HeaderLength, int Length, int UncompressedLength, int Values, bool IsDictionary);

    /// <summary>Checks a footer: the bytes of the structure FileMetaData.</summary>
    /// <exception cref="InvalidDataException">It is not well formed.</exception>
    public static void CheckFooter(ReadOnlySpan<byte> footer)
    {
        var walk = new Walk(footer);
        walk.Struct("File", 0);
        if (walk.Position != footer.Length)
            throw new InvalidDataException("Bytes after the footer.");
        CheckTree(walk.Children);
    }

    /// <summary>Reads the header of a page.</summary>
    /// <exception cref="InvalidDataException">It is not well formed.</exception>
    public static Page ReadPage(ReadOnlySpan<byte> bytes)
    {
        var walk = new Walk(bytes);
        walk.Struct("Page", 0);
        var page = new Page(walk.Position, walk.PageLength, walk.PageUncompressed, walk.PageValues, walk.PageKind == 2);
        return page is { Length: >= 0, UncompressedLength: >= 0, Values: >= 0 } ? page : throw new InvalidDataException("A page of negative size.");
    }

    /// <summary>The schema is a tree, written as the numbers of children in depth-first order: all of them, and no more.</summary>
    static void CheckTree(List<int> children)
    {
        long open = 1;
        for (int i = 0; i < children.Count; i++)
        {
            if (open == 0 || children[i] < 0 || children[i] > children.Count)
                throw new InvalidDataException("The schema is no tree.");
            open += children[i] - 1;
        }
        if (open != 0 || children.Count < 2)
            throw new InvalidDataException("The schema is no tree.");
    }

    static Dictionary<int, Field> Parse(string text)
    {
        var fields = new Dictionary<int, Field>();
        foreach (var word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            int digits = word.TakeWhile(char.IsDigit).Count();
            var (number, rest) = (int.Parse(word[..digits], System.Globalization.CultureInfo.InvariantCulture), word[digits..]);
            bool list = rest[0] == '[';
            if (list)
                rest = rest[1..];
            var kind = rest[0] switch
            {
                '?' => Kind.Boolean, 'c' => Kind.Byte, 'h' => Kind.I16, 'i' => Kind.I32, 'l' => Kind.I64, 'b' => Kind.Binary, _ => Kind.Struct,
            };
            fields.Add(number, new(list ? Kind.List : kind, kind, kind == Kind.Struct ? rest[1..] : null));
        }
        return fields;
    }

    /// <summary>A walk over one structure.</summary>
    ref struct Walk(ReadOnlySpan<byte> bytes)
    {
        readonly ReadOnlySpan<byte> _bytes = bytes;

        public int Position { get; private set; }

        /// <summary>Of each element of the schema the number of its children.</summary>
        public List<int> Children { get; } = [];

        public int PageKind { get; private set; }

        public int PageUncompressed { get; private set; }

        public int PageLength { get; private set; }

        public int PageValues { get; private set; }

        public void Struct(string? name, int depth)
        {
            if (depth > DeepestNesting)
                throw new InvalidDataException("Nested too deeply.");
            var known = name is null ? null : s_structures[name];
            if (name == "Schema")
                Children.Add(0);
            for (int number = 0; ;)
            {
                byte header = Byte();
                if (header == 0)
                    return;
                int type = header & 0x0F, step = header >> 4;
                long next = step == 0 ? Number() : number + step;
                if (next <= number || next > short.MaxValue)
                    throw new InvalidDataException("Fields out of order.");   // or there twice
                number = (int)next;
                Field field = default;
                if (known?.TryGetValue(number, out field) == true && (1 << type & (int)field.Kind) == 0)
                    throw new InvalidDataException($"Field {number} of {name} is of another kind.");
                Value(name, number, type, field, depth);
            }
        }

        void Value(string? name, int number, int type, Field field, int depth)
        {
            switch (type)
            {
                case 1 or 2:   // a boolean is its own header
                    break;
                case 3:
                    Byte();
                    break;
                case 4 or 5 or 6:
                    Keep(name, number, type, Number());
                    break;
                case 7:
                    Skip(8);
                    break;
                case 8:
                    Skip(Length());
                    break;
                case 9 or 10:
                    byte header = Byte();
                    int element = header & 0x0F, count = header >> 4 == 15 ? Length() : header >> 4;
                    if (element is 1 or 2 || count > _bytes.Length - Position
                        || field.Kind == Kind.List && count > 0 && (1 << element & (int)field.Element) == 0)
                        throw new InvalidDataException("A list that is none.");
                    for (int i = 0; i < count; i++)
                        Value(null, 0, element, new(default, default, field.Of), depth + 1);
                    break;
                case 12:
                    Struct(field.Of, depth + 1);
                    break;
                default:   // maps and identifiers: parquet has none
                    throw new InvalidDataException($"A field of kind {type}.");
            }
            if (depth > DeepestNesting)
                throw new InvalidDataException("Nested too deeply.");
        }

        void Keep(string? name, int number, int type, long value)
        {
            if (type < 6 && value != (int)value)
                throw new InvalidDataException("A number beyond its kind.");
            switch (name, number)
            {
                case ("Schema", 5): Children[^1] = (int)value; break;
                case ("Page", 1): PageKind = (int)value; break;
                case ("Page", 2): PageUncompressed = (int)value; break;
                case ("Page", 3): PageLength = (int)value; break;
                case ("DataPage" or "DictionaryPage" or "DataPage2", 1): PageValues = (int)value; break;
            }
        }

        byte Byte() => Position < _bytes.Length ? _bytes[Position++] : throw new InvalidDataException("Cut short.");

        void Skip(int count) => Position = count <= _bytes.Length - Position ? Position + count : throw new InvalidDataException("Cut short.");

        int Length() => Varint() is <= int.MaxValue and var length ? (int)length : throw new InvalidDataException("A length beyond all files.");

        long Number()
        {
            ulong zigzag = Varint();
            return (long)(zigzag >> 1) ^ -(long)(zigzag & 1);
        }

        ulong Varint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64; shift += 7)
            {
                byte next = Byte();
                value |= (ulong)(next & 0x7F) << shift;
                if (next < 0x80)
                    return value;
            }
            throw new InvalidDataException("A number without end.");
        }
    }
}
