"""What people say to a robot that is no command: lists of sentences, patterns and words."""

SMALL_TALK = """\
hello|hi|hey|hello there|hi there|hey there|hello robot|hi robot|hey robot|good morning|robot
good evening|good night|good afternoon|good day|greetings|howdy|what's up|sup|yo|hey buddy|welcome
how are you|how are you today|how are you doing|how do you do|how is it going|how was your day
nice to meet you|pleased to meet you|goodbye|bye|bye bye|see you|see you later|see you soon
farewell|thanks|thank you|thank you very much|thanks a lot|many thanks|well done|good job
great work|nice|yes|no|maybe|ok|okay|sure|of course|never|always|please|sorry|excuse me|i am sorry
pardon|what|why|who are you|what are you|what is your name|where are you|where are you from
how old are you|who|what can you do|what can i say|help|help me|can you help me|i need help
what are your commands|when|are you there|are you a robot|are you alive|are you ok|are you tired
do you like me|do you sleep|do you understand me|can you hear me|can you see me|can you speak
can you think|can you sing|where|tell me a joke|tell me a story|sing a song|sing me a song|dance
dance with me|jump|jump up|sit down|stand up|lie down|wake up|go to sleep|go away|come here
come closer|follow me|come with me|look at me|look around|listen to me|be quiet|shut up
speak louder|say something|say hello|wave|wave your hand|what time is it|what day is it
what is the date|what is the weather like|is it raining|how|will it rain tomorrow
what is the weather today|is it cold outside|it is hot today|it is raining|i am hungry|i am tired
i am happy|i am sad|i am bored|i love you|i like you|i hate you|i miss you|you are funny
you are nice|you are stupid|you are a good robot|you are a bad robot|you are slow|my name is anna
my name is bob|i am john|this is my friend|this is a test|testing|test|test test
what is two plus two|what is 2 + 2|how much is 3 times 4|what is 10 minus 7|count to ten|1 2 3
what is the capital of france|what is the meaning of life|who is the president|who made you
who wrote this book|where is the kitchen|where is my phone|where is the exit|where is the dog
what do you see|what is in front of you|what is behind you|is there a wall in front of you
how far is the wall|how far can you go|how fast are you|how fast can you drive|how heavy are you
how far did you go|how many meters did you drive|where did you go|what is your position
what is your battery level|is your battery full|charge your battery|how much battery is left
are you moving|are you ready|did you take a photo|do you have a camera|is the camera on|where to
did you stop|why did you stop|when do you stop|can you stop time|do you know the way back|ready
pick up the ball|open the door|close the door|open your hand|lift your arm|lower your arm|press it
pick it up|put it down|put down the box|give me the cup|bring me a coffee|bring me the newspaper
clean the room|clean the floor|make me a sandwich|wash the dishes|turn on the light|turn it up
turn off the light|turn on|turn off|turn it off|turn it on|turn on the radio|turn the page|louder
switch off|switch on|power off|shut down|restart|reboot|reset|go faster|go slower|slow down
speed up|drive slowly|drive faster|be careful|watch out|careful|look out|hurry up|wait|wait for me
quickly|play some music|play a game|call my mother|send an email|write a letter|write a poem
read a book|set an alarm|set a timer for five minutes|remind me tomorrow|what is on my calendar
buy some milk|a meter is a hundred centimeters|a right angle has 90 degrees
how many degrees has a circle|the bus stop is over there|the bus stops here
it is 20 degrees outside|the room is 5 meters long|it is 30 degrees today|i walked 5 meters
i drove 10 kilometers|he turned left|she went home|the photo is nice|i like this picture
show me the photo|delete the photo|send me the picture|what is a photo|where is the photo
look at this picture|draw a picture|print the photo|nice picture|home is where the heart is
there is no place like home|i want to go home|i am going home|is it home|let's go|let's play
let's talk|here we go|let me think|let me see|never mind|forget it|nothing|one|two|ten|five|zero
left|right|forward|backward|back|straight|up|down|around|north|south|degrees|move|drive|go|turn
rotate|spin|walk|run|roll|meters|90 degrees|2 meters|1.5 m|45|3.5|x|y|x y|camera|left and right
left or right|up and down|back and forth|forward and back|right now|right|all right|that is right
you are right|that's not right|what is left|nothing is left|he left|i left it there|turn left
turn right|turn|rotate left|rotate right|move left|move right|go left|go right|go forward|go back
move forward|move back|drive forward|move backward|spin left|go straight|keep going|continue|go on
carry on|go there|move it|move over|move along|move aside|step aside|step back|get out|get up|go up
go down|go outside|go inside|go out|come in|come down|come on|go to|go to the|move to|drive to|json
{"action":"move"}|{}|null|true|error|hello world|print hello|import os|select all|undo|exit|quit
"""
ELSEWHERE = """\
hola|bonjour|hallo|guten tag|buenos dias|merci|danke|gracias|ciao|salut|adios|auf wiedersehen
wie geht es dir|como estas|comment ca va|was machst du|ich bin ein roboter|je ne sais pas|olá
привет|où est la gare|wo ist der bahnhof|donde esta la casa|ich habe hunger|grüß gott|ça va|你好
こんにちは|obrigado|tack|hej|dzień dobry|dobrý den|merhaba|namaste|konnichiwa|ni hao|nein|oui|si|да
нет|😀|👍
"""

NOUNS = """\
apple ball banana basket bed bench bicycle bird blanket boat book bottle bowl box bread bridge
brush bucket building bus butter button cake car card carpet cat chair cheese child circle city
clock cloud coat coffee coin computer corner cow cup cupboard curtain desk dinner doctor dog doll
door dream drink drone duck egg elevator engine exit face family farm father fence field fish flag
floor flower food football forest fork friend game garage garden gate ghost girl glass glove goat
gun hall hammer hand hat head heart hill horse hospital hotel hour house idea island jacket job
juice key kitchen kite knife ladder lake lamp laptop lesson letter library light lion list lunch
machine map market meal meat message mirror money monkey moon morning mother mountain mouse movie
music nap nose office onion orange oven paper park party path pen pencil person phone piano pizza
plane plant plate pocket poem potato president problem queen question radio rain restaurant ring
river road rock roof room rose salad sandwich school sea seat secret shelf shirt shoe shop shower
sister sky snake snow sofa song soup spoon square stair star station stick stone story street
student sun table tea teacher team telephone television test ticket time toilet tomato towel tower
toy train tree truck umbrella uncle village voice volume wall walk watch water week wheel wind
window winter woman word world year
"""
VERBS = """\
bake break build burn buy call carry catch change check choose clean climb close cook copy count
cover cry cut dance delete describe destroy dig draw dream dress drink drop dry eat empty explain
fight fill find fix fly fold forget give greet grow hate hear help hide hit hold hunt hurt kick
kiss know learn leave lift like listen lock lose love meet melt mix need open order paint pay phone
play polish pour press print pull push put read remember repair ride ring sell send sew show sing
sit sleep smell smile speak steal study swim teach tell think throw touch translate understand use
visit wash watch wear win wrap write
"""
ADJECTIVES = """\
angry bad beautiful big black blue boring brave bright brown cheap clean clever cold cool dark deep
dirty dry easy empty expensive famous fast fat full funny good gray green happy hard heavy high hot
hungry kind large lazy long loud lovely low lucky new nice noisy old orange pink poor pretty quick
quiet red rich round sad short sick slow small soft strong strange sweet tall thick thin tired ugly
warm weak wet white wide wild wise wrong yellow young
"""
NAMES = """\
alice anna ben bob carla charlie daniel david emma eva frank george hannah jack john julia kate
laura leo lisa mark mary max mia nina noah olga oscar paul peter robert sara sofia thomas tim tom
victor
"""

PATTERNS = """\
where is the {noun}?|where is my {noun}?|what is a {noun}?|what is the {noun}?|who has the {noun}?
how big is the {noun}?|is the {noun} {adjective}?|do you like the {noun}?
why is the {noun} so {adjective}?|can you see the {noun}?|can you {verb} the {noun}?
could you {verb} a {noun}?|will you {verb} me?|do you have a {noun}?|do you know {name}?
did {name} {verb} the {noun}?|how do i {verb} a {noun}?|how many {noun}s are there?
what color is the {noun}?|when does the {noun} {verb}?|what does {noun} mean?|have you seen {name}?
are you a {noun}?|are you {adjective}?|is there a {noun} in the {noun}?
what is the best {noun} in the {noun}?|which {noun} is {adjective}?|who is {name}?
where does {name} live?|why do you {verb}?|should i {verb} the {noun}?|what should i {verb}?
can a {noun} {verb}?|whose {noun} is it?|the {noun} is {adjective}|my {noun} is {adjective}
this is a {adjective} {noun}|that {noun} is {adjective}|i have a {noun}|i like {adjective} {noun}s
i want a {noun}|i want to {verb}|i {verb} every {noun}|i {verb} the {noun}
i need a {adjective} {noun}|i think the {noun} is {adjective}|i saw a {noun}|{name} is {adjective}
{name} likes the {noun}|{name} and {name} {verb} a {noun}|my name is {name}
we {verb} the {noun} with {name}|they {verb} a {adjective} {noun}|he can {verb} the {noun}
there is a {noun} behind the {noun}|the {noun} is on the {noun}|the {noun} is {number} meters away
the {noun} costs {number} euros|i am {number} years old|it is {number} degrees
the {noun} is {number} cm long|{name} lives {number} meters from the {noun}
my {noun} has {number} {noun}s|it takes {number} minutes|what is {number} plus {number}?
what is {number} times {number}?|is {number} more than {number}?|{number}|{number} {noun}s
{number} {number}|{number}, {number}|({number}, {number})|{number} {noun}s, please|{noun}
the {noun}|{adjective} {noun}|{adjective}|{verb}|{noun} {noun}|{verb} {noun}|{name}|hello {name}
hi {name}|bye {name}|thank you, {name}|good morning, {name}|nice {noun}|what a {adjective} {noun}
i am {adjective}|you are {adjective}|you are a {adjective} {noun}|is it {adjective}?|so {adjective}
"""
ORDERS = """\
{verb} the {noun}|{verb} a {noun}|{verb} my {adjective} {noun}|{verb} the {noun} to {name}
{verb} {name}|{verb} the {adjective} {noun}|{verb} it|{verb} me|{verb} {number} {noun}s
{verb} the {noun} and the {noun}|{verb} your {noun}|{verb} with the {noun}|{verb} like a {noun}
{verb} for {number} minutes|{verb} something|give me the {noun}|give {name} the {noun}
bring me a {noun}|bring the {noun} to {name}|tell me about {noun}s|tell {name} that i {verb}
show me the {noun}|show me a {adjective} {noun}|say {noun}|look at the {noun}|pick up the {noun}
put the {noun} on the {noun}|open the {noun}|close the {noun}|put down the {noun}|take a {noun}
take the {noun}|take {number} {noun}s|get a {noun}|get the {noun}|grab the {noun}|make a {noun}
make me a {noun}|make a {adjective} {noun}|capture the {noun}|shoot the {noun}|snap the {noun}
take a {noun} to {name}|record a {noun}|take a {adjective} {noun}|follow the {noun}|follow {name}
go to the {noun}|drive to the {noun}|move to the {noun}|go to {name}|walk to the {adjective} {noun}
go back to the {noun}|return the {noun}|return my {noun}|return the {noun} to {name}
come to the {noun}|come to {name}|head to the {noun}|navigate to the {noun}|go behind the {noun}
drive around the {noun}|stop the {noun}|stop {verb}ing|stop {name}|stop the {adjective} {noun}
freeze the {noun}|halt the {noun}|turn on the {noun}|turn off the {noun}|turn the {noun}
turn to the {noun}|turn to {name}|turn {adjective}|rotate the {noun}
rotate the {noun} {number} degrees|turn the {noun} left|turn the {noun} {number} degrees
move the {noun}|move the {noun} {number} meters forward|move the {noun} to the left|spin the {noun}
move like a {noun}|drive the {noun} home|move {number} {noun}s forward
push the {noun} {number} meters|move forward until you see the {noun}|drive forward to the {noun}
turn left at the {noun}|go {adjective}|turn right after the {noun}|move away from the {noun}
go around the {noun}|back away from {name}|return to {name}|go with {name}|take {name} home
take a {noun} of the {noun}|make a {noun} of {name}
"""

LENGTH_UNITS = (
    *("feet", "foot", "ft", "inches", "inch", "yards", "miles", "mile", "kilometers", "km", "mm"),
    *("millimeters", "steps", "seconds", "minutes", "blocks", "times", "hours", "degrees", "s"),
    *("percent", "paces", "light years", "kilos", "dollars", "bananas", "houses", "rooms"),
)
ANGLE_UNITS = (
    *("radians", "rad", "seconds", "minutes", "meters", "cm", "m", "times", "percent", "feet"),
    *("steps", "hours", "rounds", "miles", "inches"),
)
WRONG_WAYS = (
    *(
        "up",
        "down",
        "upwards",
        "downwards",
        "north",
        "south",
        "east",
        "west",
        "diagonally",
        "around",
    ),
    *(
        "inside",
        "outside",
        "away",
        "somewhere",
        "underground",
        "higher",
        "lower",
        "over",
        "through",
    ),
    *("everywhere", "together", "quickly", "slowly", "sideways", "anywhere", "out", "in"),
)

NOT_MEANT = """\
don't {this}|do not {this}|never {this}|please don't {this}|please do not {this}
you must not {this}|you should not {this}|don't ever {this}|do not ever {this}
"""


def lines(block: str) -> tuple[str, ...]:
    """The entries of a block that divides them by bars and line ends."""
    return tuple(block.strip().replace("\n", "|").split("|"))
